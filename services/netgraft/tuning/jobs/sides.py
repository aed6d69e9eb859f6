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
ENLARGED, ENLARGED_TO_TRAIN = 4, 2
"""A network that was made for large pictures answers better on small ones if they are enlarged.
The probe of mobilenet_v2 on Fashion-MNIST (28 pixels, 2,000 + 2,000 pictures): .815 at 56, .838 at
96, .851 at 128 and .857 at 160, while a picture costs four times as much at twice the side: a
probe sees each once, and training often.
"""


def small(data: Manifest, *, probes: bool) -> int | None:
    """The side in pixels that suits the data's pictures; None where none of them can be read.

    `probes`: whether there is a probe, which costs little at larger sides.
    """
    step = max(1, len(data.names) // LOOKED_AT)
    found = [_short(data, name) for name in data.names[::step][:LOOKED_AT]]
    shorts = [short for short in found if short]
    if not shorts:
        return None
    times = ENLARGED if probes else ENLARGED_TO_TRAIN
    return max(LEAST, times * round(statistics.median(shorts)))


def _short(data: Manifest, name: str) -> int:
    """The short side of a picture; 0 where it cannot be read."""
    try:
        with Image.open(io.BytesIO(data.container.read(name, bounds.most_bytes()))) as opened:
            return min(opened.size)
    except (OSError, EOFError, InvalidData, UnidentifiedImageError, Image.DecompressionBombError):
        return 0
