"""Where the pictures of a table are: beside it, in a folder beside it, or at an absolute path."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from netgraft.errors import OutsideDataRoots
from netgraft.tuning.data.containers.tree import Tree

ADDED = ("", ".jpg", ".png", ".jpeg", ".JPG", ".webp", ".tif", ".tiff", ".bmp", ".PNG", ".gif")
"""Endings that tables leave out."""
DRIVE = re.compile(r"^[A-Za-z]:")
MOST_FOLDERS = 50
SAMPLE = 50


class Places:
    """Finds the pictures of a table that is in `folder` of a tree ("" for its top)."""

    def __init__(self, tree: Tree, folder: str, paths: Sequence[str]) -> None:
        self.tree = tree
        self.folder = folder
        self.bases = [folder, *self._folders_in(folder)]
        # A table in a folder of its own, such as "labels", has the pictures beside that.
        above = posixpath.normpath(posixpath.join(folder, ".."))
        self.bases += ["" if above == "." else above, *self._folders_in(above)]
        step = max(1, len(paths) // SAMPLE)
        self._put_first(paths[::step])

    def name(self, path: str) -> str | None:
        """The name of the file that a path of the table means; None where there is none.

        Raises OutsideDataRoots for one that leads out of the data roots.
        """
        plain = _plain(path)
        found = next(self._found(plain), None)
        if found is None and plain:
            self.tree.has(posixpath.normpath(posixpath.join(self.folder, plain)))
        return found

    def _folders_in(self, folder: str) -> list[str]:
        with suppress(OutsideDataRoots):
            names = self.tree.folders_in("" if folder == "." else folder)[:MOST_FOLDERS]
            return [posixpath.normpath(posixpath.join(folder, name)) for name in names]
        return []

    def _put_first(self, sample: Sequence[str]) -> None:
        """Look first in the folder that has most of the pictures."""

        def hits(base: str) -> int:
            return sum(self._in(base, _plain(path)) is not None for path in sample)

        self.bases.sort(key=hits, reverse=True)

    def _found(self, path: str) -> Iterator[str]:
        if path.startswith("/"):
            with suppress(OutsideDataRoots):
                if self.tree.has(path):
                    yield self.tree.relative(path)
            # The table was made on another machine: its last folders may be here.
            parts = path.split("/")
            tails = ["/".join(parts[at:]) for at in range(max(1, len(parts) - 3), len(parts))]
        else:
            tails = [path]
        for base in self.bases:
            for tail in tails:
                name = self._in(base, tail)
                if name is not None:
                    yield name

    def _in(self, base: str, path: str) -> str | None:
        if path.startswith("/") or not path:
            return None
        with suppress(OutsideDataRoots):
            name = posixpath.normpath(posixpath.join(base, path))
            for added in ADDED:
                if self.tree.has(name + added):
                    return name + added
        return None


def _plain(path: str) -> str:
    """A path as other systems and programs write it, with "/" and no more than needed."""
    path = path.removeprefix("file://")
    if "\\" in path and "/" not in path:
        path = DRIVE.sub("", path).replace("\\", "/")
    return posixpath.normpath(path) if path else ""
