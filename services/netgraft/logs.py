"""A log file for the output of libraries and child processes, so that the terminal shows only ours.

Knows nothing of who writes to it.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from netgraft.private import make_folder

LIMIT_BYTES = 8 * 2**20
"""Size at which a log is cut down to its end."""
KEPT_BYTES = 2**20

STANDARD = (1, 2)
"""File descriptors of standard output and standard error."""


class Log:
    """An open log file, to which this process and its children write."""

    def __init__(self, path: Path, file: int, terminal: tuple[TextIO, TextIO]) -> None:
        self.path = path
        self._file = file
        self._terminal = terminal

    @contextmanager
    def on_terminal(self) -> Iterator[None]:
        """Within the block, print to the original standard output and error."""
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = self._terminal
        try:
            yield
        finally:
            for stream in self._terminal:
                with suppress(OSError):  # its reader has gone
                    stream.flush()
            sys.stdout, sys.stderr = before

    def trim(self) -> None:
        """Keep the last KEPT_BYTES when the file has grown beyond LIMIT_BYTES.

        Its writers append, so they go on at the new end.
        """
        size = os.fstat(self._file).st_size
        if size > LIMIT_BYTES:
            end = os.pread(self._file, KEPT_BYTES, size - KEPT_BYTES)
            os.ftruncate(self._file, 0)
            os.write(self._file, end)


@contextmanager
def logged(path: Path) -> Iterator[Log]:
    """Within the block, send standard output and error to the file at `path`.

    That includes C++ and child processes. The file is readable by its owner only; the previous
    one is kept beside it with the suffix ".1". Raises OSError when it cannot be written.
    """
    make_folder(path.parent)
    with suppress(FileNotFoundError):
        path.replace(f"{path}.1")
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    _flush()
    saved = [os.dup(number) for number in STANDARD]
    out, err = (open(number, "w", closefd=False, buffering=1) for number in saved)  # noqa: SIM115
    try:
        for number in STANDARD:
            os.dup2(file, number)
        yield Log(path, file, (out, err))
    finally:
        _flush()
        for number, before in zip(STANDARD, saved, strict=True):
            os.dup2(before, number)
        for number in (*saved, file):
            os.close(number)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
