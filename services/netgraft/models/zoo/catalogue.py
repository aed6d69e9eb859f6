"""The model zoo's index, readable without torch.

`catalogue.json` beside this file holds one line per name. It is generated from
the pinned torchvision and timm by `make catalogue` (about five minutes: timm's
parameters are counted by building each model without weights).
"""

import json
import re
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from netgraft.models.fetch import cached

FILE = "catalogue.json"
DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True)
class Entry:
    """One name of the zoo. 0 and () mean that the library does not say."""

    name: str
    """As users type it: "resnet50", "timm/convnext_tiny"."""
    source: str
    task: str
    params: int
    accuracy: float
    """ImageNet-1K top-1 in per cent of the default weights."""
    image_size: int
    weights: tuple[str, ...]
    """Names of the pretrained weights, the default first."""
    files: tuple[str, ...] = ()
    """Where each of `weights` lies, as `disk` reads it: a file's name, or "hf:ORG/NAME"."""
    flops: int = 0
    """Floating-point operations of one example, a multiplication and its addition being two."""
    licence: str = ""
    """Of the default weights, in the library's own words."""
    title: str = ""
    """One line for people, where `name` is a model's id."""

    @property
    def short(self) -> str:
        """The library's own name, without what tells the library."""
        return self.name.rpartition("/")[2]


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


@dataclass(frozen=True)
class Query:
    """What `search` looks for. Zero values and empty texts ask for nothing."""

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
            all(word in _spelled(f"{entry.name} {entry.title}") for word in self.parts)
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
        """The words as names spell them."""
        return _spelled(self.words).split()

    def rank(self, entry: Entry) -> tuple[object, ...]:
        """Smaller is the better match: most accurate where accuracy is asked for, else by name."""
        first = self.parts[0] if self.parts else ""
        near = (entry.short != first, not entry.short.startswith(first))
        return (-entry.accuracy if self.min_accuracy else 0.0, *near, entry.source != FIRST)


FIRST = "torchvision"
"""The source whose names stand before others of the same nearness."""
LOCAL = "local"
"""The source of models that are this house's own."""


def _spelled(text: str) -> str:
    """A text as the zoo spells names."""
    return text.lower().replace("-", "_")


def _at_most(value: int, bound: int) -> bool:
    """Whether a value keeps a bound; what is unknown keeps none."""
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
    """What sorts entries of one rank; local ones stay in their order."""
    return _natural("" if entry.source == LOCAL else entry.name)


def _natural(name: str) -> list[tuple[int, str]]:
    """Runs of digits count as numbers."""
    return [(int(part or -1), "") if part.isdigit() else (-1, part) for part in DIGITS.split(name)]


def generate(file: Path) -> None:
    """Write the index anew from the installed libraries."""
    from netgraft.models.sources.source import SOURCES, source

    with file.open("w") as out:
        for library in map(source, SOURCES):
            for name in library.names():
                line = json.dumps(asdict(library.entry(name)), separators=(",", ":"))
                out.write(line + "\n")
                out.flush()


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name(FILE))
    generate(Path(target))
