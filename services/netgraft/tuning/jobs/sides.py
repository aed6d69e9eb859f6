"""The side at which small pictures are trained on, by what a few of them say of their size."""

import io
import statistics

from PIL import Image, UnidentifiedImageError

from netgraft.errors import InvalidData
from netgraft.tuning.data.decode import bounds
from netgraft.tuning.data.manifest import Manifest

LOOKED_AT = 9
"""Pictures whose size is read: their headers alone are decoded."""
LEAST = 48
"""Smaller sides hold too little for networks that halve them five times."""
ENLARGED = 2
"""A network that was made for large pictures answers better on small ones if they are enlarged
(mobilenet_v2 on Fashion-MNIST's 28 pixels: .82 at 64, .85 at 128), at a cost."""


def small(data: Manifest) -> int | None:
    """The side in pixels that suits the data's pictures; None where none of them can be read."""
    step = max(1, len(data.names) // LOOKED_AT)
    found = [_short(data, name) for name in data.names[::step][:LOOKED_AT]]
    shorts = [short for short in found if short]
    if not shorts:
        return None
    return max(LEAST, ENLARGED * round(statistics.median(shorts)))


def _short(data: Manifest, name: str) -> int:
    """The short side of a picture; 0 where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data.container.read(name, bounds.most_bytes()))) as opened:
            return min(opened.size)
    except (OSError, EOFError, InvalidData, UnidentifiedImageError, Image.DecompressionBombError):
        return 0
