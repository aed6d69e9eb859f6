"""Sixty names of the zoo, chosen by a rule: each is retargeted, verified and taught a step.

The strata are the tasks and, in them, the families of names ("resnet" for "resnet50"); of a
family the name with the fewest parameters stands for all. Of torchvision every family of every
task is taken, smallest first, up to 28; the rest are timm's families at even distances in the
alphabet. `tests/bench/coverage_heads.py` covers every name. Everything runs on meta tensors.
"""

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
import torch
from torch import Tensor

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.anatomy.heads import tensors_in
from netgraft.models.bases import example_inputs
from netgraft.models.build import build
from netgraft.models.edits.retarget import Retarget
from netgraft.models.resolve import resolve
from netgraft.models.zoo.catalogue import entries
from netgraft.models.zoo.entry import Entry
from netgraft.surgery.retarget import retarget

TASKS = ("classification", "segmentation", "video", "detection")
NAMES, OF_TORCHVISION = 60, 28
CLASSES = 7


def family(entry: Entry) -> tuple[str, str]:
    name = entry.name.removeprefix("timm/").removeprefix("quantized_")
    found = re.match(r"[a-z]+", name)
    return entry.task, found[0] if found else name


def smallest_of_families(source: str) -> list[Entry]:
    known = sorted((e for e in entries() if e.source == source and e.task in TASKS), key=family)
    return [min(group, key=lambda e: e.params) for _, group in groupby(known, key=family)]


def sample() -> Iterator[str]:
    first = sorted(smallest_of_families("torchvision"), key=lambda e: e.params)[:OF_TORCHVISION]
    yield from (entry.name for entry in first)
    others = smallest_of_families("timm")
    wanted = NAMES - len(first)
    yield from (others[i * len(others) // wanted].name for i in range(wanted))


SAMPLE = list(sample())


def test_the_sample_has_sixty_names_of_every_task_and_both_libraries() -> None:
    chosen = [entry for entry in entries() if entry.name in SAMPLE]
    assert len(chosen) == len(SAMPLE) == NAMES
    assert {entry.task for entry in chosen} == set(TASKS)
    assert len({family(entry) for entry in chosen}) >= 50


@pytest.mark.parametrize("name", SAMPLE)
def test_its_heads_are_replaced_and_learn(name: str, anatomies: Anatomies) -> None:
    recipe = resolve(f"{name}@none", "pretrained", anatomies.store).recipe
    edited = retarget(recipe, CLASSES, (), anatomies).recipe
    edit = edited.edits[-1]
    assert isinstance(edit, Retarget)
    assert edit.heads
    module = build(edited, anatomies.store, device="meta")
    assert anatomies.of(edited) == measure(module, traced(edited, module))
    heads = [head for head in anatomies.of(edited).trace.heads if head.classes]
    assert heads
    if anatomies.of(edited).trace.detector:  # its losses need targets: test_training_step has them
        return
    result: Any = module.train()(*example_inputs(recipe.base, 2))
    outputs: list[Tensor] = [tensor for _, tensor in tensors_in(result)]
    assert any(CLASSES in output.shape for output in outputs)
    torch.stack([output.float().square().mean() for output in outputs]).sum().backward()
    for head in heads:
        assert module.get_parameter(f"{head.path}.weight").grad is not None
