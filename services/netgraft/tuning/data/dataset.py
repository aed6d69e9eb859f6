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

        With a seed it is varied as suits the kind, and the same seed gives the same picture;
        without a seed it is unchanged. Raises InvalidData when its file cannot be read.
        """


class DataSet(Protocol):
    """Pictures with classes, in a part to train on and a part that is held out."""

    @property
    def reference(self) -> str:
        """What opens it again, from any folder and process: a name or an absolute path."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in index order."""

    @property
    def side(self) -> int | None:
        """The side in pixels below which nothing is lost; None: use the model's own."""

    def size(self, part: Part) -> int:
        """How many examples a part has."""

    def check(self) -> None:
        """Look at every picture. Raises InvalidData, which names the damaged file."""

    def examples(self, part: Part, side: int) -> Examples:
        """A part as squares of `side` pixels."""


class Kind(Protocol):
    """A kind of data set: the class itself."""

    takes_any: bool
    """Whether it accepts every reference, so that it is asked after all others."""

    def accepts(self, reference: str) -> bool:
        """Whether a reference means this kind, judged by its spelling alone."""

    def open(self, reference: str, roots: tuple[Path, ...]) -> DataSet:
        """Open it and find its classes.

        Raises DataNotFound, OutsideDataRoots and InvalidData.
        """
