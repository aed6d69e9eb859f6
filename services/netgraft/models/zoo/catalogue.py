"""The model zoo's index, readable without torch.

`catalogue.json` beside this file holds one line per name of the sources that come with netgraft;
`generate.py` writes it (`make catalogue`).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from netgraft.models.fetch import cached
from netgraft.models.naming import FIRST, LOCAL, own, spelled
from netgraft.models.zoo.entry import Entry

FILE = "catalogue.json"
DIGITS = re.compile(r"(\d+)")


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """Every entry, torchvision first, each source sorted by name."""
    lines = resources.files(__package__).joinpath(FILE).read_text().splitlines()
    rows = (json.loads(line) for line in lines)
    return tuple(
        Entry(**{**row, "weights": tuple(row["weights"]), "files": tuple(row["files"])})
        for row in rows
    )


@lru_cache(maxsize=1)
def by_name() -> dict[str, Entry]:
    """Entries by name."""
    return {entry.name: entry for entry in entries()}


@lru_cache(maxsize=1)
def by_source() -> Mapping[str, Mapping[str, Entry]]:
    """Entries by source, and there by the library's own name."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in entries():
        found.setdefault(entry.source, {})[entry.short] = entry
    return found


def find(name: str) -> Entry | None:
    """The entry that a name means in any spelling; None where the index has no such name."""
    return by_name().get(own(FIRST, spelled(name)) or "")


@dataclass(frozen=True)
class Query:
    """The conditions of a `search`. Zeros and empty texts set none."""

    words: str = ""
    task: str = ""
    max_params: int = 0
    min_accuracy: float = 0.0
    max_flops: int = 0
    image_size: int = 0
    licence: str = ""
    """How the licence begins, such as "apache"."""
    on_disk: bool = False
    source: str = ""

    def matches(self, entry: Entry) -> bool:
        return (
            all(word in spelled(f"{entry.name} {entry.title}") for word in self.parts)
            and self.source in ("", entry.source)
            and self.task in ("", entry.task)
            and _at_most(entry.params, self.max_params)
            and _at_most(entry.flops, self.max_flops)
            and entry.accuracy >= self.min_accuracy
            and self.image_size in (0, entry.image_size)
            and entry.licence.lower().startswith(self.licence.lower())
        )

    @property
    def parts(self) -> list[str]:
        """The words in the spelling of names."""
        return spelled(self.words).split()

    def rank(self, entry: Entry) -> tuple[object, ...]:
        """The key that sorts matches, the best first.

        The most accurate where accuracy is asked for, else the nearest by name.
        """
        first = self.parts[0] if self.parts else ""
        near = (entry.short != first, not entry.short.startswith(first))
        return (-entry.accuracy if self.min_accuracy else 0.0, *near, entry.source != FIRST)


def _at_most(value: int, bound: int) -> bool:
    """True if a value is within a bound, where there is one; 0, the unknown, is within none."""
    return not bound or 0 < value <= bound


def search(query: Query, also: Iterable[Entry] = ()) -> list[Entry]:
    """Entries that match, best match first; equal ones by name, resnet18 before resnet101.

    `also` are entries that are not in the zoo's index.
    """
    found = [entry for entry in (*entries(), *also) if query.matches(entry)]
    if query.on_disk:
        here = cached.present()
        found = [entry for entry in found if entry.source == LOCAL or here.weights_of(entry)]
    return sorted(found, key=lambda entry: (*query.rank(entry), _named(entry)))


def _named(entry: Entry) -> list[tuple[int, str]]:
    """The key that sorts entries of one rank; local ones stay in their order."""
    return _natural("" if entry.source == LOCAL else entry.name)


def _natural(name: str) -> list[tuple[int, str]]:
    """Runs of digits count as numbers."""
    return [(int(part or -1), "") if part.isdigit() else (-1, part) for part in DIGITS.split(name)]
