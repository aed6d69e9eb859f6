"""What the checks want to know of a decoded picture: how it looks, how sharp and bright it is."""

import hashlib
from dataclasses import replace

from PIL import Image

from netgraft.tuning.data.decode.decoder import Decoded
from netgraft.tuning.data.facts import PictureFacts

SMALL = 32
"""Side in pixels of the gray picture that near duplicates are found by."""
COLOURS = 4
"""Side of the coloured one."""
SHARP_SIDE = 64
"""Side at which sharpness is measured: alike for large and small pictures."""


def examined(decoded: Decoded, data: bytes) -> PictureFacts:
    """Return the facts of a picture, with all that the checks want to know of it."""
    facts = replace(decoded.facts, content=hashlib.sha256(data).hexdigest())
    if decoded.picture is None:
        return facts
    picture = decoded.picture
    gray = _scaled(picture.convert("L"), SHARP_SIDE)
    small = _scaled(gray, SMALL)
    colours = _scaled(picture, COLOURS)
    return replace(
        facts,
        looks=small.tobytes() + colours.tobytes(),
        sharpness=_sharpness(gray),
        brightness=_mean(gray) / 255,
    )


def _scaled(picture: Image.Image, side: int) -> Image.Image:
    """A picture as a square, smooth: the same from a large file and from a small one."""
    return picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3)


def _sharpness(gray: Image.Image) -> float:
    """Return the variance of the Laplacian (Pech-Pacheco et al. 2000)."""
    import numpy as np

    x_HW = np.asarray(gray, dtype=np.float32)
    across = x_HW[1:-1, :-2] + x_HW[1:-1, 2:]
    along = x_HW[:-2, 1:-1] + x_HW[2:, 1:-1]
    return float((across + along - 4 * x_HW[1:-1, 1:-1]).var())


def _mean(gray: Image.Image) -> float:
    import numpy as np

    return float(np.asarray(gray).mean())
