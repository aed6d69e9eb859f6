"""The embedded data set: scikit-learn's 1,797 real handwritten digits of 8 × 8 pixels.

From the test part of the UCI data set "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, 1998), as `sklearn.datasets.load_digits` ships it.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from netgraft.tuning.data.dataset import Part
from netgraft.tuning.data.split import hold_out

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SIDE = 8
WHITE = 16
"""The brightest value of a pixel in the library's arrays."""


@dataclass(frozen=True)
class Digits:
    """Gray pictures of the digits 0 to 9. They have no path, and there is nothing to check."""

    train: tuple[int, ...]
    held_out: tuple[int, ...]

    takes_any = False
    reference = "digits"
    class_names = tuple("0123456789")
    side = 48
    """8 pixels hold little detail: larger sides cost time and, as measured, gain no accuracy."""

    @classmethod
    def accepts(cls, reference: str) -> bool:
        return reference.lower() == cls.reference

    @classmethod
    def open(cls, reference: str, roots: tuple[Path, ...]) -> Self:
        labels = _table()[:, -1].tolist()
        train, held_out = hold_out([str(index) for index in range(len(labels))], labels)
        return cls(tuple(train), tuple(held_out))

    def size(self, part: Part) -> int:
        return len(self._indices(part))

    def check(self) -> None:
        """The library ships them complete."""

    def examples(self, part: Part, side: int) -> "DigitExamples":
        return DigitExamples(self._indices(part), side)

    def _indices(self, part: Part) -> tuple[int, ...]:
        return self.train if part == "train" else self.held_out


class DigitExamples:
    """Digits enlarged once, as gray pictures in memory: 1,797 × side² bytes at most.

    They are never augmented: a mirrored or cropped digit is another digit.
    """

    def __init__(self, indices: tuple[int, ...], side: int) -> None:
        import torch
        from torch.nn import functional as F

        table = torch.from_numpy(_table()[list(indices)])
        x_N1HW = table[:, :-1].float().view(-1, 1, SIDE, SIDE)
        x_N1HW = F.interpolate(x_N1HW, size=(side, side), mode="bilinear", align_corners=False)
        self.pixels_N1HW = (x_N1HW * (255 / WHITE)).round().to(torch.uint8)
        self.labels: list[int] = table[:, -1].tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        return self.pixels_N1HW[index].expand(3, -1, -1), self.labels[index]


def _table() -> "NDArray[np.uint8]":
    """Shape (1797, 65): 64 pixels from 0 to 16 and the digit.

    Read from the library's file, without its import: that costs every worker of every run
    as much time as torch's own.
    """
    library = find_spec("sklearn")
    assert library is not None
    assert library.origin is not None
    file = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
    return np.loadtxt(file, delimiter=",", dtype=np.uint8)


KIND = Digits
