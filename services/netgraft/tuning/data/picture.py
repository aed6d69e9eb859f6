"""Picture files: reading them whole, augmenting them for training.

Pictures are read upright (EXIF), as RGB, and kept decoded where memory allows.
"""

import io
import struct
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError

from netgraft.errors import InvalidData
from netgraft.language import Message, quoted
from netgraft.tuning.data import bounds
from netgraft.tuning.data.manifest import Container, Manifest, Part

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

CHECK_THREADS = 8

_BUDGET = bounds.Budget()

_checked: set[str] = set()
"""Fingerprints of the data sets that this process has checked and found undamaged."""


def check_pictures(manifest: Manifest) -> None:
    """Decode every picture, once per process as long as no file changes.

    Raises InvalidData, which names the damaged file.
    """
    fingerprint = manifest.fingerprint
    if fingerprint in _checked:
        return

    def check(name: str) -> None:
        check_picture(manifest.container, name, manifest.reference)

    with ThreadPoolExecutor(CHECK_THREADS) as threads:
        for _ in threads.map(check, manifest.names):
            pass
    _checked.add(fingerprint)


def check_picture(container: Container, name: str, data: str) -> None:
    """Decode a picture at the smallest size that reveals damage. Raises InvalidData."""
    open_picture(container, name, data, side=1)


def open_picture(container: Container, name: str, data: str, side: int) -> Image.Image:
    """A picture as RGB, upright; a JPEG at least `side` pixels on its short side.

    JPEGs are decoded at a half, a quarter or an eighth where that suffices, which
    still reads the whole file. Of a file with several pictures the first is taken. Raises
    InvalidData, which names the file, and PictureTooLarge before anything is decoded.
    """
    try:
        return _opened(container.read(name, bounds.most_bytes()), name, side)
    except FileNotFoundError as error:
        raise InvalidData(data=data, problem=Message("{path} is gone.", path=name)) from error
    except UnidentifiedImageError as error:
        problem = Message("{path} is not a picture.", path=name)
        raise InvalidData(data=data, problem=problem) from error
    except Image.DecompressionBombError as error:
        raise bounds.refused_by_pillow(name, error) from error
    except FAULTS as error:
        report = quoted(error)
        problem = Message("{path} is damaged or cut short ({report}).", path=name, report=report)
        raise InvalidData(data=data, problem=problem) from error


def _opened(encoded: bytes, name: str, side: int) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not make the picture invalid
        with (
            Image.open(io.BytesIO(encoded), formats=bounds.formats()) as opened,
            _BUDGET.taken(bounds.prepare(opened, name, side)),
        ):
            opened.load()
            return ImageOps.exif_transpose(opened).convert("RGB")


class PictureExamples:
    """The pictures of a part as squares; decoded when first asked for."""

    def __init__(self, manifest: Manifest, part: Part, side: int) -> None:
        self.manifest = manifest
        self.indices = manifest.indices(part)
        self.side = side
        self.margin = 1.0 if manifest.kept_whole else MARGIN
        self._kept: dict[int, Image.Image] = {}
        self._bytes_left = CACHE_BYTES

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        picture = self._decoded(index)
        if seed is None or self.manifest.kept_whole:
            square = middle(picture, self.side, self.margin)
        else:
            square = varied(picture, self.side, seed)
        return _tensor(square), self.manifest.labels[self.indices[index]]

    def _decoded(self, index: int) -> Image.Image:
        if (kept := self._kept.get(index)) is not None:
            return kept
        short = round(self.side * self.margin)
        manifest = self.manifest
        name = manifest.names[self.indices[index]]
        picture = open_picture(manifest.container, name, manifest.reference, short)
        scale = short / min(picture.size)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
        self._bytes_left -= picture.width * picture.height * 3
        if self._bytes_left > 0:
            self._kept[index] = picture
        return picture


def middle(picture: Image.Image, side: int, margin: float = MARGIN) -> Image.Image:
    """The largest square in the middle, less a margin, scaled to `side` pixels."""
    return ImageOps.fit(
        picture, (side, side), Image.Resampling.BILINEAR, bleed=(1 - 1 / margin) / 2
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
