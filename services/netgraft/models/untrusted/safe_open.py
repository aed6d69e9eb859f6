"""Open and copy a user's plain files, without following a link, a pipe or a swapped folder."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from netgraft.errors import TooLarge, UnsupportedFile, disk
from netgraft.language import Message
from netgraft.models.untrusted.roots import is_inside
from netgraft.settings import settings

CHUNK = 2**20
HANDLES = Path("/proc/self/fd")
"""Where Linux shows which file a handle is of."""


@dataclass(frozen=True)
class Limit:
    """The largest size of something, and the variable that sets it."""

    mib: int
    variable: str

    @property
    def bytes(self) -> int:
        return self.mib * 2**20

    def error(self, name: str) -> TooLarge:
        """The error for something that is larger."""
        return TooLarge(what=name, limit=f"{self.mib:,} MiB ({self.variable})")


def of_files() -> Limit:
    """The limit of one file of a user's."""
    return Limit(settings().file_mib, "NETGRAFT_FILE_MIB")


def of_hugging_face() -> Limit:
    """The limit of a folder that `save_pretrained` wrote, and of a model of the hub."""
    return Limit(settings().hf_mib, "NETGRAFT_HF_MIB")


def full_disk_is_reported() -> AbstractContextManager[None]:
    """Within it, a full disk under the folder of temporary files is raised as DiskFull."""
    return disk.full_disk_is_reported(tempfile.gettempdir())


@contextmanager
def opened(path: Path, name: str, within: tuple[Path, ...]) -> Iterator[BinaryIO]:
    """A plain file below one of the resolved folders `within`. Raises UnsupportedFile.

    A pipe or a device would block for ever. What the path leads to is looked at again once the
    file is open: a folder of it may have become a link since it was resolved.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UnsupportedFile(path=name, problem=Message("it cannot be read.")) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        problem = Message("it is a folder or not a plain file; give a single file.")
        raise UnsupportedFile(path=name, problem=problem)
    with os.fdopen(handle, "rb") as file:
        if HANDLES.is_dir() and not is_inside((HANDLES / str(handle)).readlink(), within):
            problem = Message("it was moved or replaced meanwhile.")
            raise UnsupportedFile(path=name, problem=problem)
        yield file


def copy(
    source: BinaryIO, out: IO[bytes], name: str, limit: Limit, before: int = 0
) -> tuple[int, str]:
    """Copy a file; returns its size in bytes and their SHA-256.

    `before` are bytes that count for the limit already. Raises TooLarge.
    """
    size, digest = 0, hashlib.sha256()
    while data := source.read(CHUNK):
        size += len(data)
        if before + size > limit.bytes:
            raise limit.error(name)
        digest.update(data)
        out.write(data)
    out.flush()
    return size, digest.hexdigest()
