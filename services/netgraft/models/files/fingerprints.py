"""Find the names of the zoo that have tensors of given names and shapes.

`fingerprints.json` beside this file holds one line per structure, written by
`generate_fingerprints.py` (`make catalogue`): a hash of the tensors' names, a hash of the names and
shapes outside the heads, and which layers the heads are, found by building each model for two class
counts. A state dict is looked up by both hashes; only what is found is then built and compared. A
sketch of the names finds the structure that is nearest to a state dict that fits none.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from netgraft.models.files.shapes import Shapes
from netgraft.models.naming import FIRST
from netgraft.models.recipe import Base

FILE = "fingerprints.json"

HASHES = 16
"""Numbers in a sketch."""
ALIKE = 0.25
"""Share of a sketch that must be the same for a structure to be called near."""


@dataclass(frozen=True)
class Signature:
    """One structure of the zoo."""

    source: str
    name: str
    """The library's own."""
    weights: str | None
    """The pretrained weights that have this structure; None: the name's own."""
    keys: str
    body: str
    heads: tuple[str, ...]
    """Paths of the layers that count classes; () where that is not known."""
    sketch: str = ""
    """Of the tensors' names; see `sketch`."""

    @property
    def base(self) -> Base:
        return Base(self.source, self.name, self.weights)


def keys_hash(shapes: Shapes) -> str:
    """Hash of the tensors' names."""
    return _hash(sorted(shapes))


def body_hash(shapes: Shapes, heads: Iterable[str]) -> str:
    """Hash of names and shapes, without the tensors of the heads."""
    owners = set(heads)
    kept = (key for key in sorted(shapes) if key.rpartition(".")[0] not in owners)
    return _hash(f"{key} {'x'.join(map(str, shapes[key]))}" for key in kept)


def fitting(shapes: Shapes) -> list[Signature]:
    """Structures with tensors of these names and, outside the heads, shapes; best first.

    torchvision before timm, and of several names the shortest.
    """
    near = _by_keys().get(keys_hash(shapes), ())
    found = [line for line in near if line.body == body_hash(shapes, line.heads)]
    return sorted(found, key=_rank)


def sketch(names: Iterable[str]) -> str:
    """A MinHash (Broder 1997) of names: similar sets have many equal numbers at equal places."""
    least = [2**32 - 1] * HASHES
    for name in names:
        digest = hashlib.blake2b(name.encode(), digest_size=4 * HASHES).digest()
        numbers = (int.from_bytes(digest[i : i + 4], "big") for i in range(0, len(digest), 4))
        least = [min(pair) for pair in zip(least, numbers, strict=True)]
    return "".join(f"{number:08x}" for number in least)


def nearest(shapes: Shapes) -> Signature | None:
    """The structure whose tensors have the most names in common; None where few are."""
    wanted = _numbers(sketch(shapes))
    lines = [line for group in _by_keys().values() for line in group]
    best = max(lines, key=lambda line: (_alike(line, wanted), -len(line.name)))
    return best if _alike(best, wanted) >= ALIKE * HASHES else None


def _alike(line: Signature, wanted: list[str]) -> int:
    return sum(a == b for a, b in zip(_numbers(line.sketch), wanted, strict=False))


def _numbers(text: str) -> list[str]:
    return [text[i : i + 8] for i in range(0, len(text), 8)]


def _rank(line: Signature) -> tuple[bool, int, str, bool]:
    return (line.source != FIRST, len(line.name), line.name, line.weights is not None)


@lru_cache(maxsize=1)
def _by_keys() -> dict[str, list[Signature]]:
    found: dict[str, list[Signature]] = {}
    for text in resources.files(__package__).joinpath(FILE).read_text().splitlines():
        row = json.loads(text)
        line = Signature(**row | {"heads": tuple(row["heads"])})
        found.setdefault(line.keys, []).append(line)
    return found


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
