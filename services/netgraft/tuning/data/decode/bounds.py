"""How large a picture may be, judged by its header before anything is decoded.

A file of some kilobytes can stand for gigabytes of pixels. Pillow refuses only those above
179 megapixels, and decodes as many at once as there are threads.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image, JpegImagePlugin, TiffImagePlugin

from netgraft.settings import settings

MEGA = 1_000_000
BYTES_PER_PIXEL = 8
"""Bytes per pixel of the largest uncompressed pictures (four channels of 16 bits)."""
SCALES = (1, 2, 4, 8)
"""The factors by which libjpeg can reduce a picture's sides while decoding."""

TILE_WIDTH, TILE_LENGTH = 322, 323


class TooLarge(Exception):
    """A picture that is not decoded; its text says how large it is."""


def most_bytes() -> int:
    """Return how many bytes the file of the largest picture can have."""
    return BYTES_PER_PIXEL * settings().picture_pixels + 2**24


def check_file(size: int) -> None:
    """Raise TooLarge for a file of more bytes than the largest picture can have."""
    if size > most_bytes():
        raise TooLarge(f"{size / 2**20:,.0f} MiB")


def prepare(opened: Image.Image, side: int) -> int:
    """Have an opened picture decoded reduced, if possible, but at least `side` pixels wide
    and high; returns how many pixels that takes memory for. Raises TooLarge.

    A JPEG above the limit is decoded at a half, a quarter or an eighth, also where that is
    less than `side`.
    """
    limit, (width, height) = settings().picture_pixels, opened.size
    if isinstance(opened, JpegImagePlugin.JpegImageFile) and not _is_kept_whole(opened):
        scale = next((s for s in SCALES if width * height <= limit * s * s), SCALES[-1])
        opened.draft("RGB", (min(side, width // scale) or 1, min(side, height // scale) or 1))
    pixels = opened.width * opened.height
    if isinstance(opened, TiffImagePlugin.TiffImageFile):
        pixels = max(pixels, _tile(opened))
    if pixels > limit:
        raise TooLarge(f"{width:,} × {height:,} px ({pixels / MEGA:,.0f} MP)")
    return pixels


def refused_by_pillow(error: Image.DecompressionBombError) -> TooLarge:
    """Return our error for a picture that Pillow itself refuses to open."""
    found = re.search(r"(\d+) pixels", str(error))
    pixels = int(found[1]) if found else 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return TooLarge(f"{pixels / MEGA:,.0f} MP")


def _tile(opened: TiffImagePlugin.TiffImageFile) -> int:
    """Pixels of a tile, which may be larger than the picture and is decoded whole."""
    sides = [opened.tag_v2.get(tag, 0) for tag in (TILE_WIDTH, TILE_LENGTH)]
    width, length = (side if isinstance(side, int) else 0 for side in sides)
    return width * length


def _is_kept_whole(opened: JpegImagePlugin.JpegImageFile) -> bool:
    """True if libjpeg keeps the whole picture in memory at its full size, however it is
    reduced: it has several scans, as a progressive JPEG does (libjpeg's
    `has_multiple_scans`)."""
    if opened.info.get("progressive"):
        return True
    # Pillow has read the header of the first scan, which should name every component.
    header = bytes([0xFF, 0xDA, 0, 6 + 2 * opened.layers, opened.layers])
    stream = opened.fp
    assert stream is not None, "it was opened just now"
    at = stream.tell()
    stream.seek(max(0, at - (8 + 2 * opened.layers)))
    first = stream.read(len(header))
    stream.seek(at)
    return first != header


class Budget:
    """Limits the pixels decoded at one time in this process to those of one largest picture.

    A picture that needs them all waits for the others, and they wait for it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._used = 0

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Hold the given number of pixels until the block ends; waits until they are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._fits(pixels))
            self._used += pixels
        try:
            yield
        finally:
            with self._changed:
                self._used -= pixels
                self._changed.notify_all()

    def _fits(self, pixels: int) -> bool:
        return self._used == 0 or self._used + pixels <= settings().picture_pixels
