"""Files and folders that only their owner can read and write, whatever the umask.

A folder that exists already is left as it is (`netgraft doctor` says when others can enter it);
a file of ours that exists already is closed to others.
"""

import os
from contextlib import suppress
from pathlib import Path

FILE, FOLDER = 0o600, 0o700
OTHERS = 0o077
"""The bits of a mode that give anybody but the owner access."""


def make_folder(folder: Path) -> Path:
    """Make a folder, with missing ones above it, that only its owner can enter. Returns it."""
    if not folder.is_dir():
        missing = [path for path in folder.parents if not path.exists()]
        for path in (*reversed(missing), folder):
            path.mkdir(FOLDER, exist_ok=True)
    return folder


def make_file(path: Path) -> Path:
    """Make an empty file that only its owner can read; keep one that exists. Returns it."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, FILE))
    return close(path)


def close(path: Path) -> Path:
    """Make a file accessible to its owner only; leave another user's file as it is. Returns it."""
    with suppress(PermissionError):
        if path.stat().st_mode & OTHERS:
            path.chmod(FILE)
    return path


def close_all(folder: Path) -> None:
    """Make every file in a folder accessible to its owner only."""
    for path in folder.iterdir():
        if path.is_file():
            close(path)
