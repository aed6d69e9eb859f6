"""What kinds see of a place that holds files: their names."""

from dataclasses import dataclass
from typing import Protocol

from netgraft.errors import PictureTooLarge
from netgraft.settings import settings
from netgraft.tuning.data.manifest import Container

HEAD = 32
"""Bytes of a file that tell what it is."""


@dataclass(frozen=True)
class Listing:
    """The files and folders below a place, without those that systems and programs leave there."""

    files: tuple[str, ...]
    """Paths with "/", sorted by folder and name."""
    folders: tuple[str, ...]
    """Paths of all folders, empty ones too."""
    passed_over: int = 0
    """Number of files of systems and programs, links that lead nowhere, and what is no file."""


class Tree(Container, Protocol):
    """A container whose files can be listed. Safe for threads."""

    def listing(self) -> Listing:
        """All files and folders. Raises OutsideDataRoots and InvalidData."""

    def files_in(self, folder: str) -> list[str]:
        """Paths of the files in a folder ("" for the top), sorted. Raises OutsideDataRoots."""

    def folders_in(self, folder: str) -> list[str]:
        """Last names of the folders in a folder, sorted. Raises OutsideDataRoots."""

    def relative(self, path: str) -> str:
        """An absolute path below the top as a name; another one as it is."""

    def head(self, name: str) -> bytes:
        """The first bytes of a file that is listed, `HEAD` or less; b"" where it is gone."""

    def has(self, name: str) -> bool:
        """True if a file has this path. Raises OutsideDataRoots where it is a link outwards."""


def too_many_bytes(name: str, size: int) -> PictureTooLarge:
    """The error for a picture with more bytes than are read."""
    limit = settings().picture_megapixels
    return PictureTooLarge(path=name, size=f"{size / 2**20:,.0f} MiB", limit=limit)
