"""Plain files of a user's: opened so that no link, pipe or swapped folder is followed; copied."""

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from netgraft.errors import TooLarge, UnsupportedFile
from netgraft.models.roots import is_inside
from netgraft.settings import settings

CHUNK = 2**20
HANDLES = Path("/proc/self/fd")
"""Where Linux says which file a handle is of."""


def too_large(name: str) -> TooLarge:
    """The error of a file above the limit."""
    return TooLarge(what=name, limit=f"{settings().file_mib:,} MiB (NETGRAFT_FILE_MIB)")


@contextmanager
def opened(path: Path, name: str, within: tuple[Path, ...]) -> Iterator[BinaryIO]:
    """A plain file below one of the resolved folders `within`. Raises UnsupportedFile.

    A pipe or a device would keep us for ever. What the path leads to is looked at again once the
    file is open: a folder of it may have become a link since it was resolved.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise UnsupportedFile(path=name, problem="it cannot be read.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        problem = "it is a folder or no plain file; give a single file."
        raise UnsupportedFile(path=name, problem=problem)
    with os.fdopen(handle, "rb") as file:
        if HANDLES.is_dir() and not is_inside((HANDLES / str(handle)).readlink(), within):
            raise UnsupportedFile(path=name, problem="it was moved or replaced meanwhile.")
        yield file


def copy(source: BinaryIO, out: IO[bytes], name: str, limit: int) -> tuple[int, str]:
    """Copy at most `limit` bytes; how many they were, and their SHA-256. Raises TooLarge."""
    size, digest = 0, hashlib.sha256()
    while data := source.read(CHUNK):
        size += len(data)
        if size > limit:
            raise too_large(name)
        digest.update(data)
        out.write(data)
    out.flush()
    return size, digest.hexdigest()
