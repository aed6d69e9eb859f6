"""Files in a zip archive, read where they are."""

import os
import stat
import zipfile
import zlib
from pathlib import Path
from threading import Lock

from netgraft.language import Message
from netgraft.models.untrusted.limits import check_directory
from netgraft.tuning.data.containers.members import Members, damaged
from netgraft.tuning.data.containers.tree import HEAD, too_many_bytes

MOST_DIRECTORY = 2**28
UTF8 = 0x800
"""Flag of a member whose name is UTF-8 (APPNOTE.TXT 4.4.4)."""
ENCRYPTED = 0x1
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
"""Errors that zipfile raises for members that are damaged or packed in unknown ways."""


class Zipped(Members[zipfile.ZipInfo]):
    """A zip archive. Its members' CRCs stand for their times."""

    def __init__(self, path: Path) -> None:
        """Raises InvalidData, which names the member at fault, and TooLarge."""
        super().__init__(str(path))
        self._lock = Lock()
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        with path.open("rb") as file:
            check_directory(file, str(path), MOST_DIRECTORY)
        try:
            infos = self._zip().infolist()
        except (*FAULTS, OSError) as error:
            raise damaged(self.archive) from error
        for info in infos:
            self._add(info)

    def read(self, name: str, most: int) -> bytes:
        info = self._info(name)
        if info.file_size > most:
            raise too_many_bytes(name, info.file_size)
        try:
            return self._zip().read(info)
        except FAULTS as error:
            raise OSError(str(error)) from error

    def stamp(self, name: str) -> tuple[int, int]:
        info = self._info(name)
        return info.file_size, info.CRC

    def head(self, name: str) -> bytes:
        try:
            with self._zip().open(self._info(name)) as file:
                return file.read(HEAD)
        except (*FAULTS, OSError):
            return b""

    def _add(self, info: zipfile.ZipInfo) -> None:
        name = _name(info)
        if info.is_dir():
            self.add_folder(name)
            return
        if stat.S_ISLNK(info.external_attr >> 16):
            raise self.refused(name, Message("it is a link."))
        if info.flag_bits & ENCRYPTED:
            raise self.refused(name, Message("it is encrypted."))
        self.add_file(name, info.file_size, info)

    def _info(self, name: str) -> zipfile.ZipInfo:
        try:
            return self.files[name]
        except KeyError as error:
            raise FileNotFoundError(name) from error

    def _zip(self) -> zipfile.ZipFile:
        """The opened archive: one for all threads, and another one after a fork, because
        processes that share a file share its position.
        """
        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                self._opened = os.getpid(), zipfile.ZipFile(self.archive)
            return self._opened[1]


def _name(info: zipfile.ZipInfo) -> str:
    """A member's name. Many programs write UTF-8 without saying so."""
    if info.flag_bits & UTF8:
        return info.filename
    try:
        return info.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.filename
