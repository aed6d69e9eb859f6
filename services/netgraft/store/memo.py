"""Values that were computed once and are kept by key: the latest in memory, all as files.

A memo says how one sort of value is kept; the values themselves belong to a store, where every
process finds them. A file begins with a checksum of what follows: one that is damaged, or cut
short, is made again like one that is missing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from zlib import crc32

from netgraft.store.recent import Recent
from netgraft.store.store import Store

T = TypeVar("T")

SUM_BYTES = 9
"""Bytes of the checksum: eight hexadecimal digits and the end of the line."""


class _Missing(Exception):
    """No file, or none that can be read."""


@dataclass(frozen=True, eq=False)
class Memo(Generic[T]):
    """One sort of value that is kept. Safe for use from several threads and processes."""

    kind: str
    """Folder of the store that the files lie in."""
    ending: str
    """How their names end, such as "json"; files of one kind may have several."""
    version: str | Callable[[], str]
    """Of the values' format: where it changes, what was kept under another is made again."""
    write: Callable[[T], bytes]
    read: Callable[[bytes], T]
    in_memory: int = 1024
    """Values that a store keeps in memory; 0: none."""
    most_bytes: int | None = None
    """Bytes of all files of the kind; the oldest go first. None: there is no bound."""

    def get(self, store: Store, key: str, make: Callable[[], T]) -> T:
        """The value of a key; `make` makes it, once, where it is not kept.

        Raises what `make` raises, and DiskFull.
        """
        return self._recent(store).get(key, lambda: self._read_or_make(store, key, make))

    def find(self, store: Store, key: str) -> T | None:
        """The value of a key where it is kept."""

        def read() -> T:
            return self._read(store, key)

        try:
            return self._recent(store).get(key, read)
        except _Missing:
            return None

    def put(self, store: Store, key: str, value: T, *, in_store: bool = True) -> None:
        """Keep a value; with `in_store=False` only in memory. Raises DiskFull."""
        if in_store:
            store.put_file(self.kind, self.file_name(key), _sealed(self.write(value)))
        self._recent(store).put(key, value)

    def is_in_memory(self, store: Store, key: str) -> bool:
        return key in self._recent(store)

    def file_name(self, key: str) -> str:
        """Name of the file that keeps the value of a key."""
        version = self.version if isinstance(self.version, str) else self.version()
        return f"{key}.{version}.{self.ending}"

    def _recent(self, store: Store) -> Recent[T]:
        return store.recent(self, self.in_memory)

    def _read_or_make(self, store: Store, key: str, make: Callable[[], T]) -> T:
        try:
            return self._read(store, key)
        except _Missing:
            value = make()
        store.replace_file(self.kind, self.file_name(key), _sealed(self.write(value)))
        if self.most_bytes is not None:
            store.trim(self.kind, self.most_bytes)
        return value

    def _read(self, store: Store, key: str) -> T:
        """The value in the file of a key. Raises _Missing."""
        data = store.get_file(self.kind, self.file_name(key)) or b""
        body = data[SUM_BYTES:]
        if data[:SUM_BYTES] != _checksum(body):
            raise _Missing
        return self.read(body)


def _sealed(body: bytes) -> bytes:
    return _checksum(body) + body


def _checksum(body: bytes) -> bytes:
    return b"%08x\n" % crc32(body)
