"""Temporary folders that last no longer than their process, however that ends.

A process that is killed cannot clear away what it has written. Its folder is cleared by the next
process that looks: each holds a lock on its own, which the kernel gives up at its death.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "netgraft-tmp-"
LOCK = "lock"


@contextmanager
def scratch() -> Iterator[Path]:
    """A temporary folder that only this user enters. Those of the dead are cleared first."""
    clear()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:  # 0700
        folder = Path(name)
        with (folder / f".{LOCK}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (folder / f".{LOCK}").rename(folder / LOCK)  # one that is not held is never seen
            yield folder


@contextmanager
def temporary_files_in_scratch() -> Iterator[None]:
    """Within the block, temporary files of this process and what it starts are in such a folder."""
    before, parents = tempfile.tempdir, os.environ.get("TMPDIR")
    with scratch() as folder:
        tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            tempfile.tempdir = before
            if parents is None:
                del os.environ["TMPDIR"]
            else:
                os.environ["TMPDIR"] = parents


def clear() -> None:
    """Remove this user's folders whose processes have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):  # gone meanwhile, or of a process that lives
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                continue
            with (folder / LOCK).open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
