"""Pictures with more than 8 bits a channel: microscopes, X-rays, scanners, 16-bit PNG and TIFF.

Each is spread by its own range: a lone picture that is predicted has no set to take a range from,
and must become the same pixels as it did in training. What is lost is how bright a picture is in
comparison with others; what a clip at 255 loses is everything. The range leaves out a thousandth of
the pixels at either end, so that a hot pixel does not darken the rest.
"""

import io
import sys
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAIL = 0.1
"""Per cent of the pixels that may lie outside of the range, at either end."""
MOST_SAMPLED = 2**20
"""Values that the range is found from; more are sampled evenly."""
DEEP_MODES = ("I", "F")
SWAPPED = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
"""By the byte order of a raw mode, the one whose high bytes are its low bytes."""


def is_deep(opened: Image.Image) -> bool:
    """Return whether a picture that was opened, but not yet decoded, has deep channels."""
    return opened.mode.startswith(DEEP_MODES) or any(";16" in raw for raw in _raw_modes(opened))


def spread(data: bytes, loaded: Image.Image, deep: bool) -> tuple[Image.Image, tuple[int, int]]:
    """Return a decoded deep picture in 8 bits a channel (L, RGB or RGBA), and its range.

    `deep`: its mode has 8 bits, because Pillow kept the high bytes of its channels alone.
    Raises ValueError where no value is finite.
    """
    import numpy as np

    if not deep:
        eight, span = _eight_bits(np.asarray(loaded))
        return Image.fromarray(eight), span
    values, alpha = _high_and_low(data, loaded)
    eight, span = _eight_bits(values)
    picture = Image.fromarray(eight)
    if alpha is not None:
        picture = picture.convert("RGB")
        picture.putalpha(alpha)
    return picture, span


def _eight_bits(values: "NDArray[Any]") -> "tuple[NDArray[Any], tuple[int, int]]":
    import numpy as np

    sample = values.reshape(-1)[:: max(1, values.size // MOST_SAMPLED)]
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        raise ValueError("no value is a finite number")
    low, high = (float(each) for each in np.percentile(sample, (TAIL, 100 - TAIL)))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    factor = 255 / (high - low) if high > low else 0.0
    eight = np.empty(values.shape, np.uint8)
    for rows in np.array_split(np.arange(len(values)), -(-values.size // MOST_SAMPLED)):
        part = np.nan_to_num(values[rows].astype(np.float32), nan=low)
        eight[rows] = ((part - low) * factor).clip(0, 255).round()
    return eight, (round(low), round(high))


def _high_and_low(data: bytes, loaded: Image.Image) -> "tuple[NDArray[Any], Image.Image | None]":
    """Return all 16 bits of channels of which Pillow kept the high bytes, and the alpha channel.

    Pillow has no mode for 16-bit colours. Decoded again as if the bytes were in the other order,
    the bytes that it keeps are the low ones.
    """
    import numpy as np

    alpha = loaded.getchannel("A") if "A" in loaded.getbands() else None
    high = np.asarray(loaded.convert("RGB") if loaded.mode not in ("L", "RGB") else loaded)
    low = np.zeros_like(high)
    with Image.open(io.BytesIO(data), formats=[str(loaded.format)]) as again:
        if _swap(again):
            again.load()
            low = np.asarray(again.convert("RGB") if again.mode not in ("L", "RGB") else again)
    return high.astype(np.uint16) * 256 + low, alpha


def _swap(opened: Image.Image) -> bool:
    """Have an opened picture read in the other byte order; False where Pillow cannot."""
    tiles = []
    for tile in opened.tile:  # type: ignore[attr-defined]
        parts = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        name, _, order = str(parts[0]).rpartition(";16")
        if name not in ("RGB", "RGBA", "RGBX") or order not in SWAPPED:
            return False
        parts = (f"{name};16{SWAPPED[order]}", *parts[1:])
        tiles.append(tile._replace(args=parts if isinstance(tile.args, tuple) else parts[0]))
    opened.tile = tiles  # type: ignore[attr-defined]
    return True


def _raw_modes(opened: Image.Image) -> list[str]:
    tiles = getattr(opened, "tile", None) or []
    return [str(tile[3][0] if isinstance(tile[3], tuple) else tile[3]) for tile in tiles if tile[3]]
