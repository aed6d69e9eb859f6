"""The one decoder: what programs write becomes upright RGB, or is refused with what is wrong."""

import base64
import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageDraw

from netgraft.tuning.data.decode import decode, examined
from netgraft.tuning.data.decode.flat import GROUND

SIDE = 64
COLOURS = ((220, 30, 30), (30, 200, 40), (20, 40, 210), (250, 250, 250), (5, 5, 5), (230, 220, 30))
HEIC = base64.b64decode(
    """
    AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAX1tZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAA
    AAAAAAAAACJpbG9jAAAAAERAAAEAAQAAAAABoQABAAAAAAAAADIAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABo
    dmMxAAAAAA5waXRtAAAAAAABAAAA/WlwcnAAAADdaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEA
    GEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAA
    AwAhYgABAAZEAcFzwIkAAAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAAB
    AAAAMAAAAAEAAAAAAAAAAv////AAAAACAAAAEHBpeGkAAAAAAwgICAAAABhpcG1hAAAAAAAAAAEAAQWBAgMFhAAAADpt
    ZGF0AAAALigBr1j5Et3/5IbkdOJ/oQqMtmf4lDXYFj9h8K4EGuu6Ta8mBvRUr9vzHmdKyMA=
    """
)
"""64 × 48 pixels, blue on the left and red on the right."""


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def patches() -> Image.Image:
    """Six colours, three above three."""
    picture = Image.new("RGB", (96, 96))
    for at, colour in enumerate(COLOURS):
        x, y = at % 3 * 32, at // 3 * 48
        ImageDraw.Draw(picture).rectangle((x, y, x + 31, y + 47), fill=colour)
    return picture


def noise(width: int = 160, height: int = 120) -> Image.Image:
    pixels = np.random.default_rng(1).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def read(data: bytes) -> np.ndarray:
    decoded = decode(data, SIDE)
    assert decoded.picture is not None, decoded.facts
    assert decoded.picture.mode == "RGB"
    return np.asarray(decoded.picture).astype(int)


def without_adobe(data: bytes) -> bytes:
    """A CMYK JPEG without Adobe's mark: its numbers say how much ink there is."""
    at = data.index(b"\xff\xee")
    length = struct.unpack(">H", data[at + 2 : at + 4])[0]
    return data[:at] + data[at + 2 + length :]


INKS = {
    "adobe": lambda cmyk: saved(cmyk, "JPEG", quality=95),
    "plain": lambda cmyk: without_adobe(saved(ImageChops.invert(cmyk), "JPEG", quality=95)),
    "tiff": lambda cmyk: saved(cmyk, "TIFF"),
    "deflated": lambda cmyk: saved(cmyk, "TIFF", compression="tiff_deflate"),
}


@pytest.mark.parametrize("kind", INKS)
def test_inks_become_the_colours_they_print(kind: str) -> None:
    pixels = read(INKS[kind](patches().convert("CMYK")))
    for at, colour in enumerate(COLOURS):
        x, y = at % 3 * 32 + 16, at // 3 * 48 + 24
        assert np.abs(pixels[y, x] - colour).max() < 45, colour


def hidden(mode: str) -> Image.Image:
    """A picture whose upper half is transparent, with noise under it."""
    picture = noise(64, 64)
    alpha = Image.new("L", picture.size, 255)
    alpha.paste(0, (0, 0, 64, 32))
    if mode == "LA":
        picture = picture.convert("L")
        picture.putalpha(alpha)
        return picture
    picture.putalpha(alpha)
    return picture


def palette(*, table: bool) -> bytes:
    picture = noise(64, 64).quantize(200)
    pixels = np.asarray(picture) % 100 + 100
    pixels[:32] -= 100
    made = Image.fromarray(pixels.astype(np.uint8), "P")
    made.putpalette(picture.getpalette())
    clear = bytes(100) + bytes([255] * 100) if table else 7
    if not table:
        pixels[:32] = 7
        made = Image.fromarray(pixels.astype(np.uint8), "P")
        made.putpalette(picture.getpalette())
    return saved(made, "PNG", transparency=clear)


CLEAR = {
    "rgba.png": lambda: saved(hidden("RGBA"), "PNG"),
    "la.png": lambda: saved(hidden("LA"), "PNG"),
    "table.png": lambda: palette(table=True),
    "index.png": lambda: palette(table=False),
    "rgba.webp": lambda: saved(hidden("RGBA"), "WEBP", lossless=True, exact=True),
    "rgba.tif": lambda: saved(hidden("RGBA"), "TIFF"),
    "frames.gif": lambda: saved(hidden("RGBA"), "GIF"),
}


@pytest.mark.parametrize("name", CLEAR)
def test_transparent_pixels_become_one_ground(name: str) -> None:
    data = CLEAR[name]()
    pixels = read(data)
    assert (pixels[:31] == GROUND).all()
    assert (pixels[34:] != GROUND).any()
    assert decode(data, SIDE).facts.alpha


def test_an_alpha_channel_that_hides_nothing_is_no_transparency() -> None:
    picture = noise(64, 64)
    data = saved(picture.convert("RGBA"), "PNG")
    assert not decode(data, SIDE).facts.alpha
    assert (read(data) == np.asarray(picture)).all()


def png16(values: np.ndarray) -> bytes:
    """A PNG of 16 bits a channel, of 1 to 4 channels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff16(values: np.ndarray, order: str) -> bytes:
    """An uncompressed TIFF of 16 bits and three channels in a byte order, "<" or ">"."""
    height, width, channels = values.shape
    raw = values.astype(f"{order}u2").tobytes()
    end = 8 + len(raw)
    entries = {256: width, 257: height, 258: end, 259: 1, 262: 2, 273: 8, 277: channels}
    entries |= {278: height, 279: len(raw)}
    made = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, end + 2 * channels)
    made += raw + struct.pack(f"{order}3H", 16, 16, 16) + struct.pack(f"{order}H", len(entries))
    for tag, value in sorted(entries.items()):
        count = channels if tag == 258 else 1
        kind = 3 if tag == 258 else 4
        made += struct.pack(f"{order}HHII", tag, kind, count, value)
    return made + bytes(4)


def twelve_bits(channels: int) -> np.ndarray:
    values = np.random.default_rng(channels).integers(300, 4096, (40, 50, channels))
    if channels in (2, 4):
        values[..., -1] = 65535
    return values.astype(np.uint16)


def arrays(values: np.ndarray) -> bytes:
    return saved(Image.fromarray(values), "TIFF")


DEEP = {
    "gray.png": (lambda: png16(twelve_bits(1)), twelve_bits(1)),
    "rgb.png": (lambda: png16(twelve_bits(3)), twelve_bits(3)),
    "rgba.png": (lambda: png16(twelve_bits(4)), twelve_bits(4)[..., :3]),
    "little.tif": (lambda: tiff16(twelve_bits(3), "<"), twelve_bits(3)),
    "big.tif": (lambda: tiff16(twelve_bits(3), ">"), twelve_bits(3)),
    "gray.tif": (lambda: arrays(twelve_bits(1)[..., 0]), twelve_bits(1)),
    "int.tif": (lambda: arrays(twelve_bits(1)[..., 0].astype(np.int32) - 900), twelve_bits(1)),
    "float.tif": (lambda: arrays(twelve_bits(1)[..., 0].astype(np.float32) / 7), twelve_bits(1)),
    "gray.pgm": (
        lambda: b"P5 50 40 4095\n" + twelve_bits(1).astype(">u2").tobytes(),
        twelve_bits(1),
    ),
}


@pytest.mark.parametrize("name", DEEP)
def test_deep_pixels_are_spread_by_their_own_range(name: str) -> None:
    make, values = DEEP[name]
    decoded = decode(make(), SIDE)
    assert decoded.facts.deep is not None
    pixels, low, high = read(make()), *np.percentile(values, (0.1, 99.9))
    want = ((values - low) / (high - low) * 255).clip(0, 255)
    assert np.abs(pixels - want).max() <= 2


def test_a_hot_pixel_does_not_darken_the_others() -> None:
    values = twelve_bits(1)
    plain = read(png16(values))
    values[3, 3] = 65535
    assert np.abs(read(png16(values)) - plain)[..., 0].mean() < 2


def test_numbers_that_are_none_are_refused() -> None:
    data = arrays(np.full((9, 9), np.nan, np.float32))
    assert decode(data, SIDE).facts.fault == "unreadable"


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_their_metadata_say(form: str, orientation: int) -> None:
    upright = patches().resize((96, 64))
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }.get(orientation)
    stored = upright if back is None else upright.transpose(back)
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(stored, form, exif=exif)
    assert decode(data, SIDE).facts.size == (96, 64)
    assert np.abs(read(data) - np.asarray(upright)).mean() < 12


def test_metadata_that_cannot_be_read_turn_nothing() -> None:
    data = saved(patches(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.abs(read(data) - np.asarray(patches())).mean() < 12


def test_of_several_pictures_the_first_is_taken() -> None:
    first, second = Image.new("RGB", (32, 32), "red"), Image.new("RGB", (32, 32), "blue")
    for form in ("GIF", "PNG", "WEBP", "TIFF", "MPO"):
        data = saved(first, form, save_all=True, append_images=[second])
        red, _, blue = read(data)[16, 16]
        assert (red > 200, blue < 50) == (True, True), form
    assert decode(data, SIDE).facts.format == "JPEG"


def test_heic_is_read() -> None:
    pytest.importorskip("pi_heif")
    pixels = read(HEIC)
    assert pixels.shape == (48, 64, 3)
    assert np.abs(pixels[24, 4] - (20, 40, 220)).max() < 30
    assert np.abs(pixels[24, 60] - (200, 30, 40)).max() < 30
    assert {decode(HEIC[:at], SIDE).facts.fault for at in range(40, len(HEIC), 40)} == {"truncated"}


def test_any_lab_colours_become_rgb() -> None:
    lab = Image.new("LAB", (8, 8), (136, 208, 195 - 128))
    assert decode(saved(lab, "TIFF"), SIDE).facts.fault == ""


FORMS: dict[str, dict[str, Any]] = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "JPEG restarts": {"restart_marker_blocks": 4},
    "PNG": {},
    "WEBP": {},
    "WEBP lossless": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "PPM": {},
    "AVIF": {},
}


def cuts(data: bytes) -> Iterator[int]:
    """Lengths of a file that was cut: anywhere, and close to its end."""
    yield from range(40, len(data) - 40, len(data) // 12)
    yield from range(len(data) - 40, len(data) - 25, 7)


@pytest.mark.parametrize("form", FORMS)
def test_a_picture_that_is_cut_short_anywhere_is_found(form: str) -> None:
    data = saved(noise(), form.split(maxsplit=1)[0], **FORMS[form])
    assert decode(data, SIDE).facts.fault == ""
    assert {decode(data[:at], SIDE).facts.fault for at in cuts(data)} == {"truncated"}


@pytest.mark.parametrize("form", ["JPEG", "JPEG progressive", "PNG", "GIF"])
def test_a_download_that_broke_off_into_zeros_is_found(form: str) -> None:
    data = saved(noise(), form.split(maxsplit=1)[0], **FORMS[form])
    for share in (0.3, 0.6, 0.9):
        whole = int(len(data) * share)
        facts = decode(data[:whole] + bytes(len(data) - whole), SIDE).facts
        assert facts.fault == "truncated", share


def test_bytes_after_a_sound_picture_do_no_harm() -> None:
    for form in ("JPEG", "PNG"):
        for more in (b"\0" * 500, b"trailing text", b"text" + b"\0" * 500):
            assert decode(saved(noise(), form) + more, SIDE).facts.fault == "", form


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (bytes(5000), "unreadable"),
        (b"<html>404 Not Found</html>", "unreadable"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "unreadable"),
    ],
)
def test_what_is_no_picture_is_told_apart(data: bytes, fault: str) -> None:
    assert decode(data, SIDE).facts.fault == fault


def test_a_picture_of_one_pixel_is_a_picture() -> None:
    for form in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = saved(Image.new("RGB", (1, 1), (200, 200, 200)), form)
        decoded = decode(data, 258)
        assert decoded.facts.size == (1, 1)
        assert examined(decoded, data).looks


def test_a_damaged_middle_is_unreadable_not_short() -> None:
    data = bytearray(saved(noise(), "PNG"))
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    assert decode(bytes(data), SIDE).facts.fault == "unreadable"


@pytest.mark.parametrize("form", [*FORMS, "HEIF", "deep"])
def test_bytes_that_are_damaged_at_random_raise_nothing(form: str) -> None:
    random = np.random.default_rng(0)
    made = {"HEIF": HEIC, "deep": png16(twelve_bits(3))}
    data = made.get(form) or saved(noise(80, 64), form.split(maxsplit=1)[0], **FORMS[form])
    for at in range(60):
        damaged = bytearray(data)
        for place in random.integers(0, len(data) if at % 2 else 200, 3):
            damaged[place] = random.integers(0, 256)
        decoded = decode(bytes(damaged), SIDE)
        assert (decoded.picture is None) == bool(decoded.facts.fault)
