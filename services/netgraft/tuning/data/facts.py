"""What the one pass over a data set finds out about each picture, beside its pixels."""

from dataclasses import dataclass
from typing import Literal

from netgraft.language import Message

Fault = Literal["", "empty", "truncated", "unreadable", "too_large", "gone"]


@dataclass(frozen=True)
class PictureFacts:
    """One picture. Where it has a `fault`, the rest is what could still be found out."""

    fault: Fault = ""
    problem: Message | None = None
    """With a fault: what is wrong, without the picture's name."""
    size: tuple[int, int] = (0, 0)
    """Width and height in pixels, upright."""
    format: str = ""
    """By content, as Pillow names it: "JPEG", "PNG"…"""
    mode: str = ""
    """As stored: "RGB", "CMYK", "P", "I;16"…"""
    content: str = ""
    """SHA-256 of the file's bytes, in hexadecimal: equal files."""
    looks: bytes = b""
    """The upright pixels, small: gray, 32 × 32, then RGB, 4 × 4. Copies look alike in it."""
    alpha: bool = False
    """Whether some pixel is transparent."""
    deep: tuple[int, int] | None = None
    """With more than 8 bits a channel: the range of values that was mapped to 0…255."""
    sharpness: float = 0.0
    """Variance of the Laplacian of the gray picture, 64 px wide: low is blurred."""
    brightness: float = 0.0
    """Mean of the gray picture, 0 to 1."""
