"""A full disk, as the operating system reports it: the one place that knows its error numbers."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from netgraft.errors.refused import DiskFull

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""No space on the device, and none in the user's quota."""


def is_full(error: OSError) -> bool:
    """Return whether the error says that the disk, or the user's share of it, is full."""
    return error.errno in FULL


def says_full(error: Exception) -> bool:
    """Return whether an error without a number, of a library, says in words that it is full."""
    return any(os.strerror(number) in str(error) for number in FULL)


@contextmanager
def full_disk_is_reported(folder: str) -> Iterator[None]:
    """Within it, a full disk is raised as DiskFull, which names `folder`."""
    try:
        yield
    except OSError as error:
        if is_full(error):
            raise DiskFull(folder=folder) from error
        raise
