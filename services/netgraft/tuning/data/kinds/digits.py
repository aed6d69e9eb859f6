"""The embedded data set: scikit-learn's 1,797 real handwritten digits of 8 × 8 pixels.

From the test part of the UCI data set "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, 1998), as `sklearn.datasets.load_digits` ships it.
"""

import struct
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from netgraft.tuning.data.containers.memory import Memory
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.kinds.parts import made_parts, must_be_plain
from netgraft.tuning.data.manifest import Container, Manifest, Options

SIDE = 8
WHITE = 16
"""The brightest value of a pixel in the library's file."""
USEFUL_SIDE = 48
"""8 pixels hold little detail: larger sides cost time and, as measured, gain no accuracy."""


class Digits:
    """Gray pictures of the digits 0 to 9, as PNG files in memory."""

    name = "digits"
    rank = Rank.NAME

    def accepts(self, place: Place) -> bool:
        return place.reference.lower() == self.name

    def open(self, place: Place, options: Options) -> Manifest:
        must_be_plain(options, self.name)
        labels, pictures = _table()
        keys = [str(index) for index in range(len(labels))]
        return Manifest(
            reference=self.name,
            kind=self.name,
            options=options,
            task="classification",
            class_names=tuple("0123456789"),
            names=tuple(pictures),
            labels=labels,
            parts=made_parts(keys, labels, options),
            container=Memory(pictures),
            side=USEFUL_SIDE,
            kept_whole=True,
            made_split=True,
        )

    def container(self, place: Place) -> Container:
        return Memory(_table()[1])


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[int, ...], dict[str, bytes]]:
    """The digits, and the pictures by name.

    Read from the library's file, without its import: that costs every worker of every run
    as much time as torch's own.
    """
    library = find_spec("sklearn")
    assert library is not None
    assert library.origin is not None
    file = Path(library.origin).parent / "datasets" / "data" / "digits.csv.gz"
    rows = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    pixels = np.round(rows[:, :-1] * (255 / WHITE)).astype(np.uint8).reshape(-1, SIDE, SIDE)
    pictures = {f"{index:04d}.png": _png(gray) for index, gray in enumerate(pixels)}
    return tuple(rows[:, -1].tolist()), pictures


def _png(gray_HW: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]") -> bytes:
    """An 8-bit gray PNG file (w3.org/TR/png-3)."""
    height, width = gray_HW.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.tobytes() for row in gray_HW)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


KIND = Digits()
