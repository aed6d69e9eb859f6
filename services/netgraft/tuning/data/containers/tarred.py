"""Files in a tar archive, read where they are; a compressed one is unpacked once to a plain tar.

Nothing is ever written by a member's name.
"""

import os
import tarfile
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from netgraft.language import Message
from netgraft.tuning.data.containers.members import Members, damaged
from netgraft.tuning.data.containers.tree import HEAD, too_many_bytes
from netgraft.tuning.data.containers.unpacked import unpacked


class Extent(NamedTuple):
    """The place of a file in the tar."""

    offset: int
    size: int


class Tarred(Members[Extent]):
    """A tar archive. The archive's time stands for those of its members."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidData, which names the member at fault, and DiskFull."""
        super().__init__(str(path))
        self._changed = path.stat().st_mtime_ns
        self._plain = unpacked(path)
        try:
            with tarfile.open(self._plain, "r:", errors="backslashreplace") as tar:
                while (member := tar.next()) is not None:
                    self._add(member)
                    tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        except (tarfile.TarError, EOFError, ValueError, OSError) as error:
            raise damaged(self.archive) from error

    def read(self, name: str, most: int) -> bytes:
        extent = self._extent(name)
        if extent.size > most:
            raise too_many_bytes(name, extent.size)
        data = os.pread(self._handle, extent.size, extent.offset)
        if len(data) < extent.size:
            raise EOFError(name)
        return data

    def stamp(self, name: str) -> tuple[int, int]:
        return self._extent(name).size, self._changed

    def head(self, name: str) -> bytes:
        extent = self._extent(name)
        return os.pread(self._handle, min(HEAD, extent.size), extent.offset)

    def _add(self, member: tarfile.TarInfo) -> None:
        if member.isdir():
            self.add_folder(member.name)
        elif member.issym() or member.islnk():
            raise self.refused(member.name, Message("it is a link."))
        elif not member.isreg() or member.issparse():
            raise self.refused(member.name, Message("it is no plain file."))
        else:
            self.add_file(member.name, member.size, Extent(member.offset_data, member.size))

    def _extent(self, name: str) -> Extent:
        try:
            return self.files[name]
        except KeyError as error:
            raise FileNotFoundError(name) from error

    @cached_property
    def _handle(self) -> int:
        """The opened tar: reading at an offset moves no position, so all may share it."""
        return os.open(self._plain, os.O_RDONLY)

    def __del__(self) -> None:
        if "_handle" in self.__dict__:
            os.close(self._handle)
