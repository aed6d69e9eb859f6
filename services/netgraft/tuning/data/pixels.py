"""The decoded pictures of a data set, kept where memory allows, and the squares cut from them.

Every picture is decoded by `decode` at a little more than the side asked for, whoever asks: the
pass over the data, features, training, evaluation.
"""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image, ImageOps

from netgraft.errors import InvalidData, PictureTooLarge
from netgraft.language import quoted
from netgraft.models.answering import resized
from netgraft.tuning.data.augment import Augment
from netgraft.tuning.data.decode import Decoded, bounds, decode, error_for
from netgraft.tuning.data.facts import PictureFacts
from netgraft.tuning.data.manifest import Container, Manifest, Part

if TYPE_CHECKING:
    from torch import Tensor

CACHE_BYTES = 2**30
"""Decoded pictures kept in memory by one process, at most."""


class Pixels:
    """The pictures of a manifest for one side, by their index. Safe for threads."""

    def __init__(
        self,
        manifest: Manifest,
        side: int,
        most_bytes: int = CACHE_BYTES,
        *,
        short: int | None = None,
    ) -> None:
        """`short`: the short side, in pixels, that pictures are reduced to; None: as usual."""
        self.manifest = manifest
        self.side = side
        self.short = short or resized(side, whole=manifest.kept_whole)
        self._kept: dict[int, Image.Image] = {}
        self._bytes_left = most_bytes
        self._lock = threading.Lock()

    def get(self, index: int) -> Image.Image:
        """Return a picture, decoded now where it is not kept. Raises InvalidData, with its name."""
        if (kept := self._kept.get(index)) is not None:
            return kept
        decoded, _ = self.fresh(index)
        if decoded.picture is None:
            name = self.manifest.names[index]
            raise error_for(decoded.facts, name=name, reference=self.manifest.reference)
        return decoded.picture

    def fresh(self, index: int) -> tuple[Decoded, bytes]:
        """Read, decode, reduce and keep a picture; return it and its file's bytes."""
        name = self.manifest.names[index]
        decoded, data = fetched(self.manifest.container, name, self.short)
        if decoded.picture is not None:
            self._keep(index, decoded.picture)
        return decoded, data

    def _keep(self, index: int, picture: Image.Image) -> None:
        size = picture.width * picture.height * 3
        with self._lock:
            if index not in self._kept and size <= self._bytes_left:
                self._bytes_left -= size
                self._kept[index] = picture


class PictureExamples:
    """Some pictures of a manifest as squares; see `examples.Examples`."""

    def __init__(
        self,
        manifest: Manifest,
        part: Part | Sequence[int],
        side: int,
        pixels: Pixels | None = None,
    ) -> None:
        """`part`: a part, or the indices of pictures. `pixels`: those that a pass has kept."""
        self.manifest = manifest
        self.indices = manifest.indices(part) if isinstance(part, str) else list(part)
        self.side = side
        self.pixels = pixels or Pixels(manifest, side)
        self.augment = Augment("none" if manifest.kept_whole else "light")

    def __len__(self) -> int:
        return len(self.indices)

    def get(self, index: int, seed: int | None = None) -> "tuple[Tensor, int]":
        at = self.indices[index]
        picture = self.pixels.get(at)
        if seed is None or not self.augment.varies:
            square = middle(picture, self.side, self.pixels.short)
        else:
            square = self.augment.varied(picture, self.side, seed)
        return tensor_of(square), self.manifest.labels[at]


def fetched(container: Container, name: str, short: int) -> tuple[Decoded, bytes]:
    """Read a picture, decode it, and reduce it to a short side of at most `short` pixels.

    Return it and its file's bytes.
    """
    data, fault = _bytes(container, name)
    decoded = Decoded(None, fault) if fault else decode(data, short)
    if decoded.picture is not None:
        decoded = Decoded(reduced(decoded.picture, short), decoded.facts)
    return decoded, data


def reduced(picture: Image.Image, short: int) -> Image.Image:
    """A picture whose short side is at most `short` pixels."""
    scale = short / min(picture.size)
    if scale >= 1:
        return picture
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)


def middle(picture: Image.Image, side: int, short: int) -> Image.Image:
    """The square in the middle that has `side` pixels where the picture's short side has `short`.

    It is cut from a picture of any size. Training measures by it, evaluation and prediction ask
    by it.
    """
    if min(picture.size) == short:
        # Whole pixels: a fit would interpolate half-way between them, and such a blur cost
        # mobilenet_v2 3 of 153 photographs.
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return picture.crop((left, top, left + side, top + side))
    bleed = (1 - side / short) / 2
    return ImageOps.fit(picture, (side, side), Image.Resampling.BILINEAR, bleed=bleed)


def _bytes(container: Container, name: str) -> tuple[bytes, PictureFacts | None]:
    """Return a picture's bytes, or the fault that keeps them from being read."""
    try:
        return container.read(name, bounds.most_bytes()), None
    except FileNotFoundError:
        return b"", PictureFacts(fault="gone")
    except PictureTooLarge as error:
        return b"", PictureFacts(fault="too_large", problem=quoted(error.values["size"]))
    except InvalidData as error:
        return b"", PictureFacts(fault="unreadable", problem=error.message)
    except OSError as error:
        return b"", PictureFacts(fault="unreadable", problem=quoted(error.strerror or error))


def tensor_of(picture: Image.Image) -> "Tensor":
    """A picture's pixels as x_CHW (uint8)."""
    import numpy as np
    import torch

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)
