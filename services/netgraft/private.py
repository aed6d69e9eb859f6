"""Files and folders that are their owner's alone, whatever the umask says.

What was there before is another matter: a folder is left as it is (`netgraft doctor` says
when others can enter it), a file of ours is closed to others.
"""

import os
from contextlib import suppress
from pathlib import Path

FILE, FOLDER = 0o600, 0o700
OTHERS = 0o077
"""The bits of a mode that let in anybody but the owner."""


def make_folder(folder: Path) -> Path:
    """Make a folder, and those above it that are missing, for their owner alone."""
    if not folder.is_dir():
        missing = [path for path in folder.parents if not path.exists()]
        for path in (*reversed(missing), folder):
            path.mkdir(FOLDER, exist_ok=True)
    return folder


def make_file(path: Path) -> Path:
    """An empty file for its owner alone, to be written over; one that is there is kept."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE))
    return close(path)


def close(path: Path) -> Path:
    """Take from all but its owner what a file lets them do; one of somebody else is left."""
    with suppress(PermissionError):
        if path.stat().st_mode & OTHERS:
            path.chmod(FILE)
    return path


def close_all(folder: Path) -> None:
    """Close the files that lie in a folder."""
    for path in folder.iterdir():
        if path.is_file():
            close(path)
