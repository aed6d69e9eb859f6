"""Exports: a model as a file in one of the formats, read in parts."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netgraft.models.export import export
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store

CHUNK = 2**20
"""Bytes that are read at a time."""


@dataclass(frozen=True)
class Exported:
    """A file that lasts as long as `exported` is open."""

    name: str
    """For the user's file."""
    path: Path

    @property
    def size(self) -> int:
        """Bytes."""
        return self.path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The bytes of the file, in parts."""
        with self.path.open("rb") as stream:
            while data := stream.read(CHUNK):
                yield data


@contextmanager
def exported(
    recipe: Recipe, kind: str, store: Store, *, with_preprocessing: bool = False
) -> Iterator[Exported]:
    """The model in a format. Raises as `export.write` does."""
    with tempfile.TemporaryDirectory(prefix="netgraft-export-") as folder:
        file = Path(folder) / "model"
        export.write(recipe, store, kind, file, with_preprocessing=with_preprocessing)
        yield Exported(export.file_name(recipe, kind), file)
