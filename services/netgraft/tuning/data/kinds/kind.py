"""The protocol of kinds of data, and what they are asked about."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Protocol

from netgraft.models.untrusted.roots import inside
from netgraft.settings import settings
from netgraft.tuning.data.manifest import Container, Manifest, Options


class Rank(IntEnum):
    """When a kind is asked: the most specific kinds first."""

    NAME = 0
    """It knows its references by their spelling."""
    FILE = 1
    """It knows files by their contents."""
    CONTENTS = 2
    """It knows folders by what they hold."""
    ANY = 3
    """It takes every folder."""


@dataclass(frozen=True)
class Place:
    """A reference, and the file or folder that it names."""

    reference: str
    """As the user wrote it."""
    roots: tuple[Path, ...]
    """The folders that may be read from."""

    @cached_property
    def path(self) -> Path:
        """The file or folder. Raises DataNotFound and OutsideDataRoots.

        The lists that netgraft wrote are read, too; they lead to nothing outside the roots.
        """
        lists = settings().lists
        if self.reference.startswith(f"{lists}/"):
            return inside(self.reference, (lists.resolve(),))
        return inside(self.reference, self.roots)


class Kind(Protocol):
    """A kind of data. Its file holds one, named `KIND`."""

    name: str
    """What `Options.kind` calls it."""
    rank: Rank

    def accepts(self, place: Place) -> bool:
        """True if a reference means this kind of data, as far as a first glance shows.

        Raises DataNotFound and OutsideDataRoots.
        """

    def open(self, place: Place, options: Options) -> Manifest:
        """Read names, classes and parts; no picture is opened.

        Raises DataNotFound, OutsideDataRoots, InvalidData and InvalidValue.
        """

    def container(self, place: Place) -> Container:
        """The place of the pictures of a data set that was opened before.

        Raises DataNotFound, OutsideDataRoots and InvalidData.
        """
