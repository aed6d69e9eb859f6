"""Names of the zoo that stand for its families, chosen by a rule.

The strata are the tasks and, in them, the families of names ("resnet" for "resnet50"); of a
family the name stands for all that a table in `known` has, else the one with the fewest
parameters. Of torchvision every family of every task is taken, smallest first, up to 28; the
rest are timm's families at even distances in the alphabet.
"""

import re
from collections.abc import Iterator
from itertools import groupby

from tests.contract.known import FROZEN, HEADS

from netgraft.models.zoo.catalogue import entries
from netgraft.models.zoo.entry import Entry

TASKS = ("classification", "segmentation", "video", "detection")
NAMES, OF_TORCHVISION = 60, 28


def family(entry: Entry) -> tuple[str, str]:
    name = entry.name.removeprefix("timm/").removeprefix("quantized_")
    found = re.match(r"[a-z]+", name)
    return entry.task, found[0] if found else name


def one_of_each_family(source: str) -> list[Entry]:
    known = sorted((e for e in entries() if e.source == source and e.task in TASKS), key=family)
    return [min(group, key=_rank) for _, group in groupby(known, key=family)]


def _rank(entry: Entry) -> tuple[int, int]:
    return -((entry.name in HEADS) + (entry.name in FROZEN)), entry.params


def sample() -> Iterator[str]:
    first = sorted(one_of_each_family("torchvision"), key=lambda e: e.params)[:OF_TORCHVISION]
    yield from (entry.name for entry in first)
    others = one_of_each_family("timm")
    wanted = NAMES - len(first)
    yield from (others[i * len(others) // wanted].name for i in range(wanted))
