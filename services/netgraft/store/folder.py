"""Files in a folder, which may be any fsspec URL.

They are named by content or by model id and written once, whole, under another name first,
so a reader never meets half a file.
"""

import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, cast

import fsspec
from fsspec.implementations.local import LocalFileSystem

from netgraft import private
from netgraft.errors.disk import full_disk_is_reported

PARTIAL = ".part"
"""How the name of a file in the making ends."""


class Folder:
    """Files by kind and name. Safe for use from several processes."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.files, self.root = fsspec.core.url_to_fs(folder)
        self._local = isinstance(self.files, LocalFileSystem)

    def put_file(self, kind: str, name: str, data: bytes) -> None:
        """Write a file once under `kind`; one of that name is kept as it is. Raises DiskFull."""
        if not self.files.exists(self._path(kind, name)):
            self.replace_file(kind, name, data)

    def replace_file(self, kind: str, name: str, data: bytes) -> None:
        """Write a file, in the place of one that is there. Raises DiskFull."""
        with self._arriving(self._path(kind, name)) as partial:
            self.files.pipe_file(partial, data)

    @contextmanager
    def _arriving(self, path: str) -> Iterator[str]:
        """A path to write a file to, which is then moved to `path`, or removed on an error."""
        partial = f"{path}.{uuid.uuid4().hex}{PARTIAL}"
        with self._writing_to(path):
            try:
                if self._local:
                    private.make_file(Path(partial))
                yield partial
                self.files.mv(partial, path)
            except BaseException:
                with suppress(OSError):
                    self.files.rm_file(partial)
                raise

    @contextmanager
    def _writing_to(self, path: str) -> Iterator[None]:
        """Make the folder of a path, and raise DiskFull where the disk is full."""
        with full_disk_is_reported(self.folder):
            self._make_folder(path.rsplit("/", 1)[0])
            yield

    def _make_folder(self, path: str) -> None:
        if self._local:
            private.make_folder(Path(path))
        else:
            self.files.makedirs(path, exist_ok=True)

    def trim(self, kind: str, most_bytes: int, *, most_seconds: float = math.inf) -> None:
        """Remove files under `kind` that are older, and the oldest until the rest fits."""
        sizes = self.files.find(f"{self.root}/{kind}", detail=True)
        excess = sum(item["size"] for item in sizes.values()) - most_bytes
        if excess <= 0 and most_seconds == math.inf:
            return
        ages = {path: self._age(path) for path in sizes}
        for path in sorted(sizes, key=lambda path: -ages[path]):
            if excess <= 0 and ages[path] <= most_seconds:
                return
            with suppress(FileNotFoundError):  # another process trims too
                self.files.rm_file(path)
            excess -= sizes[path]["size"]

    def _age(self, path: str) -> float:
        """Seconds since a file was written; a file that is gone is as old as can be."""
        try:
            written = self.files.modified(path)
        except FileNotFoundError:
            return math.inf
        age: float = (datetime.now(UTC) - written.astimezone(UTC)).total_seconds()
        return age

    def touch(self, kind: str, name: str) -> None:
        """Make a file the newest, so that `trim` removes it last; on a local disk only."""
        if self._local:
            with suppress(OSError):
                os.utime(self._path(kind, name))

    def put_path(self, kind: str, name: str, source: Path) -> None:
        """As `put_file`, with the bytes of a local file."""
        path = self._path(kind, name)
        if self.files.exists(path):
            return
        with self._arriving(path) as partial:
            self.files.put_file(str(source), partial)

    def _move_in(self, kind: str, name: str, source: Path) -> None:
        """As `put_path`; the local file is gone then."""
        path = self._path(kind, name)
        if not self._local:
            self.put_path(kind, name, source)
        elif not self.files.exists(path):
            self.files.mv(str(private.close(source)), path)

    def open(self, kind: str, name: str) -> BinaryIO:
        """A file of the store, to read from. Raises FileNotFoundError."""
        return cast("BinaryIO", self.files.open(self._path(kind, name), "rb"))

    def get_file(self, kind: str, name: str) -> bytes | None:
        """The bytes of a file, or None."""
        try:
            return self.read(kind, name)
        except FileNotFoundError:
            return None

    def read(self, kind: str, name: str) -> bytes:
        """The bytes of a file. Raises FileNotFoundError."""
        data: bytes = self.files.cat_file(self._path(kind, name))
        return data

    def size(self, kind: str, name: str) -> int:
        """Bytes of a file. Raises FileNotFoundError."""
        return int(self.files.size(self._path(kind, name)))

    def names(self, kind: str) -> list[str]:
        """Names of the whole files under `kind`, sorted."""
        self.files.invalidate_cache()
        folder = self._path(kind, "")
        found = self.files.find(folder, maxdepth=1)
        return sorted(
            name for path in found if not (name := path.rpartition("/")[2]).endswith(PARTIAL)
        )

    def remove(self, kind: str) -> None:
        """Remove what lies under `kind`, which must be a folder of files that may go."""
        with suppress(FileNotFoundError):
            self.files.rm(self._path(kind, "").rstrip("/"), recursive=True)

    def _path(self, kind: str, name: str) -> str:
        return f"{self.root}/{kind}/{name}"
