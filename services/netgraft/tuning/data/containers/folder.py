"""Files in a folder on disk."""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from netgraft.errors import InvalidData, OutsideDataRoots
from netgraft.language import Message
from netgraft.tuning.data.containers.junk import is_junk_file, is_junk_folder
from netgraft.tuning.data.containers.tree import HEAD, Listing, too_many_bytes

# Strings and `os.path`, not `Path`: a set may have a hundred thousand files.
# ruff: noqa: PTH112, PTH113, PTH114, PTH115, PTH116, PTH118, PTH120, PTH123

ODD_BYTE = re.compile(r"\\x([89a-f][0-9a-f])")
"""A byte of a name that is not UTF-8, as `_shown` writes it."""


class Folder:
    """A folder below the data roots. Links are followed, but never out of these."""

    def __init__(self, root: Path, roots: tuple[Path, ...]) -> None:
        """`root` has no links in it."""
        self.root = str(root)
        self.roots = tuple(str(root).rstrip("/") for root in roots)
        self._real: dict[str, str] = {}
        self._known: dict[str, dict[str, bool]] = {}

    def read(self, name: str, most: int) -> bytes:
        # A pipe in a picture's place would wait for ever.
        handle = os.open(self._path(name), os.O_RDONLY | os.O_NONBLOCK)
        with open(handle, "rb", buffering=0) as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(name)
            if status.st_size > most:
                raise too_many_bytes(name, status.st_size)
            return file.readall()

    def stamp(self, name: str) -> tuple[int, int]:
        status = os.stat(self._path(name))
        return status.st_size, status.st_mtime_ns

    def listing(self) -> Listing:
        files: list[str] = []
        folders: list[str] = []
        passed_over = 0
        left: list[tuple[str, str, tuple[str, ...]]] = [(self.root, "", (self.root,))]
        while left:
            folder, prefix, above = left.pop()
            for entry in self._entries(folder):
                name = _shown(entry.name)
                if entry.is_dir():
                    path = self._target(entry) if entry.is_symlink() else entry.path
                    # A link may lead to a folder that it is in.
                    if is_junk_folder(name) or path in above:
                        passed_over += 1
                        continue
                    folders.append(prefix + name)
                    left.append((path, f"{prefix}{name}/", (*above, path)))
                elif is_junk_file(name) or not self._is_file(entry):
                    passed_over += 1
                else:
                    files.append(prefix + name)
        return Listing(tuple(sorted(files)), tuple(sorted(folders)), passed_over)

    def files_in(self, folder: str) -> list[str]:
        prefix = f"{folder}/" if folder else ""
        return sorted(prefix + name for name in self._names_in(folder) if not is_junk_file(name))

    def folders_in(self, folder: str) -> list[str]:
        path = self._inside(os.path.realpath(self._path(folder)))
        found = (_shown(e.name) for e in self._entries(path) if e.is_dir())
        return sorted(name for name in found if not is_junk_folder(name))

    def absolute(self, name: str) -> str:
        """The path of a file by its name, as text."""
        return os.path.join(self.root, name)

    def relative(self, path: str) -> str:
        return path.removeprefix(f"{self.root}/")

    def head(self, name: str) -> bytes:
        try:
            with open(self._path(name), "rb", buffering=0) as file:
                return file.read(HEAD)
        except OSError:
            return b""

    def has(self, name: str) -> bool:
        folder, _, last = name.rpartition("/")
        known = self._known.get(folder)
        if known is None:
            known = self._known[folder] = self._names_in(folder or name[: len(name) - len(last)])
        if known.get(last):
            self._inside(os.path.realpath(self._path(name)))
        return last in known

    def _names_in(self, folder: str) -> dict[str, bool]:
        """The files in a folder, and whether each is a link. Raises OutsideDataRoots."""
        path = self._inside(os.path.realpath(self._path(folder)))
        if not os.path.isdir(path):
            return {}
        return {_shown(e.name): e.is_symlink() for e in self._entries(path) if not e.is_dir()}

    def _entries(self, folder: str) -> Iterator["os.DirEntry[str]"]:
        try:
            with os.scandir(folder) as entries:
                yield from entries
        except PermissionError as error:
            problem = Message("the server may not read {path}.", path=_shown(folder))
            raise InvalidData(data=self.root, problem=problem) from error

    def _is_file(self, entry: "os.DirEntry[str]") -> bool:
        """True for a file, and for a link to one that may be gone: that is said later."""
        if not entry.is_symlink():
            return entry.is_file()
        target = self._target(entry)
        return os.path.isfile(target) or not os.path.lexists(target)

    def _target(self, entry: "os.DirEntry[str]") -> str:
        """Return what a link leads to. Raises OutsideDataRoots."""
        target = os.path.join(os.path.dirname(entry.path), os.readlink(entry.path))
        folder, name = os.path.split(target)
        # Most links of a folder lead into one other.
        if folder not in self._real:
            self._real[folder] = os.path.realpath(folder)
        real = f"{self._real[folder]}/{name}"
        if name in ("", ".", "..") or os.path.islink(real):
            real = os.path.realpath(target)
        return self._inside(real, entry.path)

    def _inside(self, real: str, shown: str = "") -> str:
        """A path without links, as it is. Raises OutsideDataRoots."""
        if not any(real == root or real.startswith(f"{root}/") for root in self.roots):
            raise OutsideDataRoots(path=_shown(shown or real), roots=", ".join(self.roots))
        return real

    def _path(self, name: str) -> str:
        """The path of a file by its name, which may be absolute."""
        path = os.path.join(self.root, name)
        if "\\x" in name and not os.path.lexists(path):
            odd = ODD_BYTE.sub(lambda byte: chr(0xDC00 + int(byte[1], 16)), name)
            return os.path.join(self.root, odd)
        return path


def _shown(name: str) -> str:
    """A name as text: the system's may have bytes that are not UTF-8."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
