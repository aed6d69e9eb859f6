"""A full disk ends as DiskFull, wherever the system reports it."""

import errno
from pathlib import Path

import pytest

from netgraft.errors import DiskFull
from netgraft.errors.disk import full_disk_is_reported, says_full


def test_a_device_without_space_is_a_full_disk() -> None:
    with (
        pytest.raises(DiskFull, match="/some/folder"),
        full_disk_is_reported("/some/folder"),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_quota_that_is_used_up_is_a_full_disk() -> None:
    with pytest.raises(DiskFull), full_disk_is_reported("/some/folder"):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")
    assert says_full(RuntimeError("I/O error: Disk quota exceeded (os error 122)"))


def test_another_error_stays_as_it_is() -> None:
    with pytest.raises(PermissionError), full_disk_is_reported("/some/folder"):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert not says_full(RuntimeError("Permission denied"))
