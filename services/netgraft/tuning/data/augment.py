"""Training pictures varied, so that a network sees hardly one of them twice.

What is drawn follows from a seed alone: the same seed, the same picture.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageEnhance, ImageOps, ImageStat

SMALLEST_CUT = 0.5
"""Least share of a picture's area that a crop keeps."""
SMALLEST_WHOLE = 0.85
"""The same where a picture that lacks a part could be of another class, as a digit is."""
WIDEST, WIDEST_WHOLE = 4 / 3, 1.1
"""Greatest ratio of a crop's width to its height, or the other way round."""
COLOURS = 0.3
"""By how much brightness, contrast and saturation may differ from 1."""
TURNED = 12.0
"""Degrees by which a picture is turned, at most, either way."""
ERASED = 0.25
"""Probability that a rectangle is painted over (random erasing, arXiv:1708.04896)."""
LEAST_ERASED, MOST_ERASED = 0.02, 0.2
"""Its share of the area."""
SIDED = frozenset({"left", "right", "links", "rechts", "gauche", "droite", "左", "右"})
"""Words for what a mirror changes."""


@dataclass(frozen=True)
class Augment:
    """A way of varying training pictures."""

    name: str = "light"
    """ "none"; "light": crops, and mirroring; "strong": colours, angles and erasing, too."""
    mirror: bool = True
    """Whether half of the pictures are mirrored."""
    whole: bool = False
    """Whether a picture that lacks a part would be of another class: crops keep nearly all."""

    @property
    def varies(self) -> bool:
        """Return whether it changes anything."""
        return self.name != "none"

    def varied(self, picture: Image.Image, side: int, seed: int) -> Image.Image:
        """A random crop of a picture, of `side` pixels, and what else is said.

        Crops are those of the Inception paper (arXiv:1409.4842), none of them small.
        """
        choose = random.Random(seed)  # noqa: S311  # nothing secret
        square = _cut(picture, side, choose, whole=self.whole)
        # Drawn in any case: the crop that a seed gives is the same with and without a mirror.
        if choose.random() < 0.5 and self.mirror:
            square = ImageOps.mirror(square)
        return _strong(square, choose) if self.name == "strong" else square


def mirrored_by_name(class_names: Sequence[str]) -> bool:
    """Return whether the classes' names say that a mirrored picture is of another class.

    They do where one says left or right, or where most are single letters or digits.
    """
    words = [set(_words(name)) for name in class_names]
    if any(SIDED & each for each in words) or any("左" in n or "右" in n for n in class_names):
        return True
    return 2 * sum(len(name) == 1 for name in class_names) > len(class_names)


def _words(name: str) -> list[str]:
    return "".join(c.lower() if c.isalpha() else " " for c in name).split()


def _cut(picture: Image.Image, side: int, choose: random.Random, *, whole: bool) -> Image.Image:
    least, widest = (SMALLEST_WHOLE, WIDEST_WHOLE) if whole else (SMALLEST_CUT, WIDEST)
    area = picture.width * picture.height * choose.uniform(least, 1)
    ratio = choose.uniform(1 / widest, widest)
    width = min(picture.width, max(1, round((area * ratio) ** 0.5)))
    height = min(picture.height, max(1, round((area / ratio) ** 0.5)))
    left = choose.randint(0, picture.width - width)
    top = choose.randint(0, picture.height - height)
    box = (left, top, left + width, top + height)
    return picture.resize((side, side), Image.Resampling.BILINEAR, box)


def _strong(square: Image.Image, choose: random.Random) -> Image.Image:
    """A square in other colours, turned, and perhaps with a rectangle painted over."""
    for enhancer in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        square = enhancer(square).enhance(choose.uniform(1 - COLOURS, 1 + COLOURS))
    mean = tuple(round(value) for value in ImageStat.Stat(square).mean)
    square = square.rotate(
        choose.uniform(-TURNED, TURNED), Image.Resampling.BILINEAR, fillcolor=mean
    )
    if choose.random() < ERASED:
        _erase(square, mean, choose)
    return square


def _erase(square: Image.Image, colour: tuple[int, ...], choose: random.Random) -> None:
    share = choose.uniform(LEAST_ERASED, MOST_ERASED)
    ratio = math.exp(choose.uniform(math.log(0.5), math.log(2)))
    width = max(1, round(square.width * (share * ratio) ** 0.5))
    height = max(1, round(square.height * (share / ratio) ** 0.5))
    left = choose.randint(0, max(0, square.width - width))
    top = choose.randint(0, max(0, square.height - height))
    ImageDraw.Draw(square).rectangle((left, top, left + width - 1, top + height - 1), fill=colour)
