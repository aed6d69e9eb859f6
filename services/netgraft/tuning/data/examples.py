"""The protocol of examples: what batches are made from."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Examples(Protocol):
    """The examples of one part, ready for training. Safe for use from several threads."""

    def __len__(self) -> int: ...

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        """One example: x_CHW (uint8, three channels, the side asked for) and its class index.

        With a seed it is augmented as suits the data, and the same seed gives the same picture;
        without a seed it is unchanged. Raises InvalidData when its file cannot be read.
        """
