"""Compressed tars as plain ones, unpacked once into the state folder."""

import bz2
import gzip
import hashlib
import lzma
import os
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

from netgraft import private
from netgraft.errors import InvalidData
from netgraft.errors.disk import full_disk_is_reported
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.data.containers.members import damaged, too_large

TAR_MAGIC = 257
"""Where a tar says "ustar"."""
UNUSED_DAYS = 30
CHUNK = 2**20
USUAL_RATIO = 200
"""Pictures are compressed already: what shrinks by more is no archive of them."""
ANY_RATIO_BYTES = 2**28
FAULTS = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def _zst(path: Path) -> BinaryIO:
    import pyarrow as pa

    return cast("BinaryIO", pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))


def _gz(path: Path) -> BinaryIO:
    return cast("BinaryIO", gzip.open(path))


def _bz2(path: Path) -> BinaryIO:
    return cast("BinaryIO", bz2.open(path))


def _xz(path: Path) -> BinaryIO:
    return cast("BinaryIO", lzma.open(path))


PACKED: dict[bytes, Callable[[Path], BinaryIO]] = {
    b"\x1f\x8b": _gz,
    b"BZh": _bz2,
    b"\xfd7zXZ\0": _xz,
    b"\x28\xb5\x2f\xfd": _zst,
}
"""How files begin that are compressed, and how each is read."""


def is_packed(head: bytes) -> bool:
    """True for the first bytes of a compressed file."""
    return head.startswith(tuple(PACKED))


def is_tar(head: bytes) -> bool:
    """True for the first bytes of a tar."""
    return head[TAR_MAGIC : TAR_MAGIC + 5] == b"ustar"


def unpacked(path: Path) -> Path:
    """The plain tar of an archive; its own path where it is one.

    It is kept under the archive's path, size and time, for as long as it is used.
    Raises InvalidData for what is no tar or unpacks to too much, and DiskFull.
    """
    with path.open("rb") as file:
        head = file.read(TAR_MAGIC + 5)
    opened = next((how for magic, how in PACKED.items() if head.startswith(magic)), None)
    if opened is None:
        return path
    status = path.stat()
    key = hashlib.sha256(f"{path}\0{status.st_size}\0{status.st_mtime_ns}".encode()).hexdigest()
    folder = private.make_folder(settings().folder / "unpacked")
    target = folder / f"{key}.tar"
    if not target.exists():
        _remove_unused(folder)
        _unpack(path, opened, target, status.st_size)
    os.utime(target)
    return target


def _unpack(path: Path, opened: Callable[[Path], BinaryIO], target: Path, size: int) -> None:
    partial = private.make_file(target.with_name(f"{target.name}.{uuid.uuid4().hex}.part"))
    try:
        with full_disk_is_reported(str(target.parent)):
            _copy(path, opened, partial, size)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _copy(path: Path, opened: Callable[[Path], BinaryIO], partial: Path, size: int) -> None:
    most = min(settings().archive_bytes, max(ANY_RATIO_BYTES, USUAL_RATIO * size))
    written = 0
    with partial.open("wb") as file:
        for chunk in _chunks(path, opened):
            if written == 0 and not is_tar(chunk):
                problem = Message("it is compressed, but no tar: give a tar, a zip or a folder.")
                raise InvalidData(data=str(path), problem=problem)
            written += len(chunk)
            if written > most:
                raise too_large(str(path))
            file.write(chunk)


def _chunks(path: Path, opened: Callable[[Path], BinaryIO]) -> Iterator[bytes]:
    try:
        with opened(path) as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
    except FAULTS as error:
        raise damaged(str(path)) from error


def _remove_unused(folder: Path) -> None:
    for file in folder.iterdir():
        with suppress(FileNotFoundError):  # another process removes them too
            if file.stat().st_mtime < time.time() - UNUSED_DAYS * 86_400:
                file.unlink()
