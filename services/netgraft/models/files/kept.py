"""Users' files in the store, where each lies under the SHA-256 of its bytes."""

from typing import TYPE_CHECKING

from netgraft.models.recipe import Base, UserFile

if TYPE_CHECKING:
    from netgraft.store.store import Store

KIND = "files"
"""The store's name for them."""


def file_of(base: Base) -> UserFile:
    """The file of a base that has one."""
    assert base.file is not None
    return base.file


def content(base: Base, store: "Store") -> bytes:
    """The bytes of a base's file. Raises FileNotFoundError."""
    return store.read(KIND, file_of(base).sha256)
