"""The model zoo's index, readable without torch.

`catalogue.json` beside this file holds one line per name. It is generated from
the pinned torchvision and timm by `make catalogue` (about five minutes: timm's
parameters are counted by building each model without weights).
"""

import json
import sys
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

FILE = "catalogue.json"


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


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """Every entry, torchvision first, each source sorted by name."""
    lines = resources.files(__package__).joinpath(FILE).read_text().splitlines()
    rows = (json.loads(line) for line in lines)
    return tuple(Entry(**{**row, "weights": tuple(row["weights"])}) for row in rows)


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

    def matches(self, entry: Entry) -> bool:
        words = self.words.lower().replace("-", "_").split()
        return (
            all(word in entry.name for word in words)
            and self.task in ("", entry.task)
            and (not self.max_params or 0 < entry.params <= self.max_params)
            and entry.accuracy >= self.min_accuracy
        )


def search(query: Query) -> list[Entry]:
    """Entries that match. Most accurate first where accuracy is asked for."""
    found = [entry for entry in entries() if query.matches(entry)]
    if query.min_accuracy:
        found.sort(key=lambda entry: -entry.accuracy)
    return found


def generate(file: Path) -> None:
    """Write the index anew from the installed libraries."""
    from netgraft.models.source import SOURCES, source

    with file.open("w") as out:
        for library in map(source, SOURCES):
            for name in library.names():
                line = json.dumps(asdict(library.entry(name)), separators=(",", ":"))
                out.write(line + "\n")
                out.flush()


if __name__ == "__main__":
    target = sys.argv[1] if len(sys.argv) > 1 else str(Path(__file__).with_name(FILE))
    generate(Path(target))
