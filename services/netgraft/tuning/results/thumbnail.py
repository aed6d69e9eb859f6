"""Small pictures for pages that show what a model was asked about."""

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

SIDE = 128
"""Pixels of the longer side."""
QUALITY = 70


def thumbnail(picture: "Image.Image") -> bytes:
    """A picture as a JPEG of a few kilobytes."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    out = io.BytesIO()
    small.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
