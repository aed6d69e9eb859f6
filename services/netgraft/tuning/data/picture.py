"""Picture files: reading them whole, augmenting them for training.

Pictures are read upright (EXIF), as RGB, and kept decoded where memory allows.
"""

import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from netgraft.errors import InvalidData
from netgraft.language import Message, quoted
from netgraft.tuning.data import bounds

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 1.15
"""Factor by which a kept picture's short side exceeds the requested one, for cropping."""
CACHE_BYTES = 2**30
"""Decoded pictures kept in memory by one process, at most."""
SMALLEST_CUT = 0.5
"""Least share of a picture's area that a training crop keeps."""

FAULTS = (OSError, SyntaxError, ValueError, struct.error, EOFError)
"""Errors that Pillow raises for files that are damaged, truncated or not pictures."""

_BUDGET = bounds.Budget()


def check_picture(path: Path, data: str) -> None:
    """Decode a picture at the smallest size that reveals damage. Raises InvalidData."""
    open_picture(path, data, side=1)


def open_picture(path: Path, data: str, side: int) -> Image.Image:
    """A picture as RGB, upright; a JPEG at least `side` pixels on its short side.

    JPEGs are decoded at a half, a quarter or an eighth where that suffices, which
    still reads the whole file. Of a file with several pictures the first is taken. Raises
    InvalidData, which names the file, and PictureTooLarge before anything is decoded.
    """
    try:
        return _opened(path, side)
    except FileNotFoundError as error:
        raise InvalidData(data=data, problem=Message("{path} is gone.", path=path)) from error
    except UnidentifiedImageError as error:
        problem = Message("{path} is not a picture.", path=path)
        raise InvalidData(data=data, problem=problem) from error
    except Image.DecompressionBombError as error:
        raise bounds.refused_by_pillow(path, error) from error
    except FAULTS as error:
        report = quoted(error)
        problem = Message("{path} is damaged or cut short ({report}).", path=path, report=report)
        raise InvalidData(data=data, problem=problem) from error


def _opened(path: Path, side: int) -> Image.Image:
    bounds.check_file(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not make the picture invalid
        with (
            Image.open(path, formats=bounds.formats()) as opened,
            _BUDGET.taken(bounds.prepare(opened, path, side)),
        ):
            opened.load()
            return ImageOps.exif_transpose(opened).convert("RGB")


class PictureExamples:
    """Picture files as squares; decoded when first asked for."""

    def __init__(self, paths: list[Path], labels: list[int], side: int, data: str) -> None:
        self.paths = paths
        self.labels = labels
        self.side = side
        self.data = data
        self._kept: dict[int, Image.Image] = {}
        self._bytes_left = CACHE_BYTES

    def __len__(self) -> int:
        return len(self.paths)

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        picture = self._decoded(index)
        square = middle(picture, self.side) if seed is None else varied(picture, self.side, seed)
        return _tensor(square), self.labels[index]

    def _decoded(self, index: int) -> Image.Image:
        if (kept := self._kept.get(index)) is not None:
            return kept
        short = round(self.side * MARGIN)
        picture = open_picture(self.paths[index], self.data, short)
        scale = short / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
        self._bytes_left -= picture.width * picture.height * 3
        if self._bytes_left > 0:
            self._kept[index] = picture
        return picture


def middle(picture: Image.Image, side: int) -> Image.Image:
    """The largest square in the middle, scaled to `side` pixels."""
    return ImageOps.fit(
        picture, (side, side), Image.Resampling.BILINEAR, bleed=(1 - 1 / MARGIN) / 2
    )


def varied(picture: Image.Image, side: int, seed: int) -> Image.Image:
    """A random crop, mirrored half of the time (as in the Inception paper, arXiv:1409.4842)."""
    import random

    choose = random.Random(seed)  # noqa: S311  # nothing secret
    area = picture.width * picture.height * choose.uniform(SMALLEST_CUT, 1)
    ratio = choose.uniform(3 / 4, 4 / 3)
    width = min(picture.width, max(1, round((area * ratio) ** 0.5)))
    height = min(picture.height, max(1, round((area / ratio) ** 0.5)))
    left = choose.randint(0, picture.width - width)
    top = choose.randint(0, picture.height - height)
    box = (left, top, left + width, top + height)
    cut = picture.resize((side, side), Image.Resampling.BILINEAR, box)
    return ImageOps.mirror(cut) if choose.random() < 0.5 else cut


def _tensor(picture: Image.Image) -> "Tensor":
    import numpy as np
    import torch

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
