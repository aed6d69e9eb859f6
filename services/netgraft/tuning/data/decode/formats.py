"""The formats of pictures that are opened, the endings that fit them, and signs of a cut.

The content decides what a file is; its ending is only compared with that.
"""

import struct
from collections.abc import Callable
from functools import lru_cache

from PIL import Image

ENDINGS: dict[str, frozenset[str]] = {
    "JPEG": frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo"}),
    "PNG": frozenset({".png", ".apng"}),
    "BMP": frozenset({".bmp", ".dib"}),
    "WEBP": frozenset({".webp"}),
    "GIF": frozenset({".gif"}),
    "TIFF": frozenset({".tif", ".tiff"}),
    "PPM": frozenset({".ppm", ".pgm", ".pbm", ".pnm", ".pfm"}),
    "AVIF": frozenset({".avif", ".avifs"}),
    "HEIF": frozenset({".heic", ".heif", ".hif", ".heics", ".heifs"}),
}
"""By Pillow's name of a format, the endings that say the truth about it, in small letters."""

SAME = {"MPO": "JPEG", "DIB": "BMP"}
"""Names that Pillow gives to variants: phones put several pictures into one JPEG (MPO)."""


ZEROS = 256
"""So many zeros are no end of compressed pixels."""


@lru_cache(maxsize=1)
def formats() -> tuple[str, ...]:
    """Formats that are opened: pictures only, not all that Pillow knows (EPS runs Ghostscript)."""
    Image.init()
    _with_heif()
    return tuple(name for name in ENDINGS if name in Image.OPEN)


def _with_heif() -> None:
    """Have Pillow read HEIC, where its library is installed."""
    try:
        from pi_heif import register_heif_opener
    except ImportError:  # some platforms have no wheel of it
        return
    register_heif_opener()


def format_of(opened: Image.Image) -> str:
    """Return the name of an opened picture's format, a key of `ENDINGS`."""
    name = opened.format or ""
    return SAME.get(name, name)


def fits(ending: str, form: str) -> bool:
    """Return whether a file's ending says the truth about its format; no ending says nothing."""
    return not ending or ending.lower() in ENDINGS.get(form, ())


def is_cut_short(data: bytes) -> bool:
    """Return whether a file that cannot be decoded ends before its own format says so."""
    if data[4:8] == b"ftyp":
        return _boxes_end_late(data)
    found = (lacks for mark, lacks in LACKS_ITS_END.items() if data.startswith(mark))
    return next(found, lambda _: False)(data)


def is_quietly_cut(data: bytes) -> bool:
    """Return whether the end of a picture is missing that was decoded all the same.

    A download that broke off into a file of the full length ends in zeros, which decoders take for
    gray; and libtiff leaves out strips that lie beyond the end.
    """
    if data.startswith((b"II*\0", b"MM\0*")):
        return _lacks_bytes(data)
    if not data.endswith(bytes(ZEROS)):
        return False
    if data.startswith((b"\xff\xd8", b"\x89PNG")):
        return is_cut_short(data)
    return data.startswith(b"RIFF")


def _has_its_end(data: bytes) -> bool:
    """Return whether a JPEG's end is marked after its pixels begin: not that of a thumbnail."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        if data[at + 1] == 0xDA:
            return data.find(b"\xff\xd9", at) >= 0
        at += 1 if data[at + 1] == 0xFF else 2 + struct.unpack(">H", data[at + 2 : at + 4])[0]
    return False


def _boxes_end_late(data: bytes) -> bool:
    """Return whether a box of an ISO media file (HEIC, AVIF) reaches beyond the file's end."""
    at = 0
    while at + 8 <= len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        if size == 0:  # it reaches to the end
            return False
        if size == 1 and at + 16 <= len(data):
            (size,) = struct.unpack(">Q", data[at + 8 : at + 16])
        if size < 8:
            return False
        at += size
    return at != len(data)


def _lacks_bytes(data: bytes) -> bool:
    """Return whether a TIFF's directory, or a strip of its first picture, lies beyond the end."""
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8:
        return True
    (at,) = struct.unpack(order + "I", data[4:8])
    if at + 2 > len(data):
        return True
    (count,) = struct.unpack(order + "H", data[at : at + 2])
    if at + 2 + 12 * count > len(data):
        return True
    return _strips_end(data, order, at, count) > len(data)


def _strips_end(data: bytes, order: str, at: int, count: int) -> int:
    """Return where the last strip or tile of a TIFF's first directory ends; 0: not to be read."""
    found: dict[int, tuple[int, ...]] = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, number = struct.unpack(order + "HHI", data[entry : entry + 8])
        size = {3: 2, 4: 4}.get(kind)
        if tag not in (273, 279, 324, 325) or size is None or number > 2**20:
            continue
        start = entry + 8
        if size * number > 4:
            (start,) = struct.unpack(order + "I", data[start : start + 4])
        raw = data[start : start + size * number]
        if len(raw) == size * number:
            found[tag] = struct.unpack(f"{order}{number}{'H' if kind == 3 else 'I'}", raw)
    starts, counts = found.get(273, found.get(324)), found.get(279, found.get(325))
    if not starts or not counts:
        return 0
    return max(start + length for start, length in zip(starts, counts, strict=False))


def _riff_is_longer(data: bytes) -> bool:
    return len(data) < 12 or len(data) < 8 + int(struct.unpack("<I", data[4:8])[0])


def _bitmap_is_longer(data: bytes) -> bool:
    return len(data) < 26 or len(data) < int(struct.unpack("<I", data[2:6])[0])


LACKS_ITS_END: dict[bytes, Callable[[bytes], bool]] = {
    b"\xff\xd8": lambda data: not _has_its_end(data),
    b"\x89PNG\r\n\x1a\n": lambda data: b"IEND" not in data.rstrip(b"\0")[-64:],
    b"RIFF": _riff_is_longer,
    b"GIF8": lambda data: not data.rstrip(b"\0").endswith(b";"),
    b"BM": _bitmap_is_longer,
    b"II*\0": _lacks_bytes,
    b"MM\0*": _lacks_bytes,
    # A PPM has no other way to fail once its header was read.
    b"P5": lambda _: True,
    b"P6": lambda _: True,
}
"""By the first bytes of a format, whether a file of it ends before it should."""
