"""A kind of data set from outside the package: stripes that lie, and stripes that stand."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor


class Stripes:
    takes_any = False
    reference = "stripes"
    class_names = ("lying", "standing")
    side = 8

    @classmethod
    def accepts(cls, reference: str) -> bool:
        return reference == cls.reference

    @classmethod
    def open(cls, reference: str, roots: tuple[Path, ...]) -> Self:
        return cls()

    def size(self, part: str) -> int:
        return 2

    def check(self) -> None:
        pass

    def examples(self, part: str, side: int) -> "StripedPictures":
        return StripedPictures(side)


class StripedPictures:
    def __init__(self, side: int) -> None:
        self.side = side

    def __len__(self) -> int:
        return 2

    def get(self, index: int, seed: int | None = None) -> tuple[Tensor, int]:
        lying = (torch.arange(self.side) % 2 * 255).to(torch.uint8).expand(3, self.side, -1)
        return (lying.transpose(1, 2) if index == 0 else lying), index


KIND = Stripes
