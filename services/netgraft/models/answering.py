"""How a model is asked about a picture, as a value. Knows no recipe, no tensor and no picture."""

from dataclasses import asdict, dataclass
from typing import Any

MARGIN = 1.15
"""Factor by which the short side of a resized picture exceeds the square cut out of it."""


def resized(side: int, *, whole: bool = False) -> int:
    """The short side in pixels from which squares of `side` are cut.

    `whole`: nothing is cut off a square picture, because it would be of another class then.
    """
    return side if whole else round(side * MARGIN)


@dataclass(frozen=True)
class Answering:
    """The way a model is asked about a picture, and its answer is read.

    A picture is upright RGB. It is resized until its short side has `resize` pixels, the square of
    `side` pixels in its middle is cut out, and each channel becomes (value / 255 − mean) /
    deviation. The probabilities are softmax(logits / temperature).
    """

    side: int
    resize: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    interpolation: str = "bilinear"
    temperature: float = 1.0
    precision: str = "fp32"
    """Number format in which the model was measured: "fp32", "bf16" or "fp16"."""
    channels_last: bool = False
    """Whether it was measured in that memory layout."""
    strategy: str = ""
    """How it was tuned: "full", "probe"…; "" where it was not."""
    split: str = ""
    """Name of the record of its data in the store: the reference, and the parts by name."""
    data_hash: str = ""
    """SHA-256 over the contents of the data; "" where it is not known."""

    def plain(self) -> dict[str, Any]:
        """The fields as plain values for JSON."""
        return asdict(self)
