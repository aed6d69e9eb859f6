"""The protocols of data sets, of their examples, and of the kinds that open them."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Part = Literal["train", "held_out"]


class Examples(Protocol):
    """The examples of one part, ready for training. Safe for use from several threads."""

    def __len__(self) -> int: ...

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        """One example: x_CHW (uint8, three channels, the side asked for) and its class index.

        With a seed it is augmented as suits the kind, and the same seed gives the same picture;
        without a seed it is unchanged. Raises InvalidData when its file cannot be read.
        """


class DataSet(Protocol):
    """Pictures with classes, in a training part and a held-out part."""

    @property
    def reference(self) -> str:
        """The reference that opens it again, from any folder or process: a name or a path."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in index order."""

    @property
    def side(self) -> int | None:
        """Side in pixels at which nothing is lost; None: use the model's own."""

    def size(self, part: Part) -> int:
        """Number of examples in a part."""

    def check(self) -> None:
        """Check every picture. Raises InvalidData, which names the damaged file."""

    def examples(self, part: Part, side: int) -> Examples:
        """A part as squares of `side` pixels."""


class Kind(Protocol):
    """A kind of data set: the class itself."""

    takes_any: bool
    """Whether it accepts every reference, so that it is asked after all others."""

    def accepts(self, reference: str) -> bool:
        """True if a reference means this kind, judged by its spelling alone."""

    def open(self, reference: str, roots: tuple[Path, ...]) -> DataSet:
        """Open it and find its classes.

        Raises DataNotFound, OutsideDataRoots and InvalidData.
        """
