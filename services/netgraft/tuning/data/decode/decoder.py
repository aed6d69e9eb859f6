"""The one decoder: a picture file's bytes → an upright RGB picture, or the fault that it has."""

import io
import struct
import warnings
import zlib
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from PIL import Image, UnidentifiedImageError

from netgraft.errors import InvalidData, PictureTooLarge
from netgraft.language import Message, quoted
from netgraft.settings import settings
from netgraft.tuning.data.decode import bounds, deep
from netgraft.tuning.data.decode.flat import flat, printed
from netgraft.tuning.data.decode.formats import (
    format_of,
    formats,
    is_cut_short,
    is_quietly_cut,
)
from netgraft.tuning.data.facts import Fault, PictureFacts

FAULTS = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, ArithmeticError, TypeError,
    RuntimeError, struct.error, zlib.error,
)  # fmt: skip
"""Errors that Pillow raises for files that are damaged, truncated or not pictures (found by
damaging files of every format at random; RuntimeError comes from AVIF and HEIC)."""
TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
ORIENTATION = 0x0112
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By EXIF orientation, what makes a stored picture upright."""

_BUDGET = bounds.Budget()


@dataclass(frozen=True)
class Decoded:
    """A picture, or why there is none, and what was found out on the way."""

    picture: Image.Image | None
    """Upright, RGB; None where the facts have a fault."""
    facts: PictureFacts


def decode(data: bytes, side: int) -> Decoded:
    """Decode a picture; a JPEG at least `side` pixels on its short side.

    JPEGs are decoded at a half, a quarter or an eighth where that suffices, which still reads the
    whole file. Of a file with several pictures the first is taken. What is too large is refused
    by its header, undecoded. Raises nothing for a picture at fault: its facts say what is wrong.
    """
    if not data:
        return _at_fault("empty", Message("it is empty"))
    try:
        return _decoded(data, side)
    except (bounds.TooLarge, Image.DecompressionBombError) as error:
        refused = error if isinstance(error, bounds.TooLarge) else bounds.refused_by_pillow(error)
        return _at_fault("too_large", quoted(refused))
    except FAULTS as error:
        if is_cut_short(data):
            return _at_fault("truncated", quoted(error))
        if isinstance(error, UnidentifiedImageError):
            return _at_fault("unreadable", None)
        return _at_fault("unreadable", quoted(error))


def picture_in(data: bytes, side: int, *, name: str, reference: str) -> Image.Image:
    """Return the picture that bytes hold. Raises InvalidData and PictureTooLarge, which name it."""
    decoded = decode(data, side)
    if decoded.picture is None:
        raise error_for(decoded.facts, name=name, reference=reference)
    return decoded.picture


def error_for(facts: PictureFacts, *, name: str, reference: str) -> InvalidData:
    """Return the error that says of a picture which fault it has."""
    if facts.fault == "too_large":
        return PictureTooLarge(path=name, size=facts.problem, limit=settings().picture_megapixels)
    return InvalidData(data=reference, problem=_sentence(facts, name))


def _sentence(facts: PictureFacts, name: str) -> Message:
    if facts.fault == "gone":
        return Message("{path} is gone.", path=name)
    if facts.fault == "empty":
        return Message("{path} is empty.", path=name)
    if facts.problem is None:
        return Message("{path} is not a picture.", path=name)
    return Message("{path} is damaged or cut short ({report}).", path=name, report=facts.problem)


def ending(name: str) -> str:
    """Return the ending of a picture's name, in small letters, with its dot."""
    return PurePosixPath(name).suffix.lower()


def _at_fault(fault: Fault, problem: Message | None) -> Decoded:
    return Decoded(None, PictureFacts(fault=fault, problem=problem))


def _decoded(data: bytes, side: int) -> Decoded:
    bounds.check_file(len(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd metadata does not make the picture invalid
        with Image.open(io.BytesIO(data), formats=formats()) as opened:
            stored, mode, is_deep = opened.size, opened.mode, deep.is_deep(opened)
            with _BUDGET.taken(bounds.prepare(opened, side)):
                opened.load()
                if is_quietly_cut(data):
                    raise EOFError("its end is missing")
                size = stored[::-1] if _orientation(opened) in TURNED else stored
                facts = PictureFacts(size=size, format=format_of(opened), mode=mode)
                return _upright(data, opened, facts, is_deep)


def _upright(data: bytes, opened: Image.Image, facts: PictureFacts, is_deep: bool) -> Decoded:
    """Make a decoded picture RGB, and turn it as its metadata say."""
    eight_bits = opened
    if is_deep:
        halved = not opened.mode.startswith(deep.DEEP_MODES)
        eight_bits, span = deep.spread(data, opened, halved)
        facts = replace(facts, deep=span)
    elif opened.mode == "CMYK":
        eight_bits = printed(opened)
    picture, alpha = flat(eight_bits)
    method = TRANSPOSES.get(_orientation(opened))
    picture = picture if method is None else picture.transpose(method)
    return Decoded(picture, replace(facts, alpha=alpha))


def _orientation(opened: Image.Image) -> int:
    if opened.format == "TIFF":
        return 1  # Pillow turned it when it was decoded
    try:
        return int(opened.getexif().get(ORIENTATION, 1))
    except FAULTS:  # metadata that cannot be read turn nothing
        return 1
