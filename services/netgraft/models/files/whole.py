"""A user's file that is a model of its own, and in no zoo: what its sources have in common."""

from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.errors import OnlyDrawn
from netgraft.models.files.kept import file_of
from netgraft.models.recipe import Base
from netgraft.models.source import Source
from netgraft.models.untrusted.formats import Format, format_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from netgraft.store.store import Store


class WholeFile(Source):
    """The recipe's own `UserFile` answers; the store has its bytes."""

    def is_own(self, base: Base) -> bool:
        return True

    def task(self, base: Base) -> str:
        return file_of(base).task or "unknown"

    def input_shape(self, base: Base) -> tuple[int, ...]:
        """Raises OnlyDrawn when it is not known."""
        shape = file_of(base).input_shape
        if not shape:
            raise only_drawn(base)
        return shape

    def image_size(self, base: Base) -> int:
        return (file_of(base).input_shape or (0,))[-1]

    def library(self) -> str:
        return "pytorch"

    def stem(self, base: Base) -> str:
        return Path(base.name).stem

    def document(self, base: Base) -> Format | None:
        return format_of(file_of(base).kind)

    def values(self, base: Base, store: "Store") -> "Mapping[str, Tensor]":
        module = self.module(base, store, "cpu", load_weights=True)
        return dict(module.state_dict())


def only_drawn(base: Base) -> OnlyDrawn:
    """The error for whatever needs more of a file than its picture."""
    return OnlyDrawn(name=base.name, kind=format_of(file_of(base).kind).label)
