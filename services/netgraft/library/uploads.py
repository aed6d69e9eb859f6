"""Files that clients send: kept in parts until they are whole, then opened like any other.

The parts lie in the store under the SHA-256 that was announced, so that any replica goes on
with what another began. A whole file whose hash is another one is thrown away.
"""

import hashlib
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from netgraft.errors import InvalidValue, UnsupportedFile, UploadIncomplete, WrongHash
from netgraft.language import Message
from netgraft.models.files import kept
from netgraft.models.files import open as opening
from netgraft.models.naming import is_sha256
from netgraft.models.source import Resolved
from netgraft.models.torch_ready import NeedsTorch
from netgraft.models.untrusted import safe_open
from netgraft.models.untrusted.formats import display_name
from netgraft.settings import settings
from netgraft.store.store import Store

KIND = "uploads"
PART = 8 * 2**20
"""Bytes that are collected before they are written."""
BEGUN = 4
"""All unfinished uploads may take so many times the largest file; then the oldest go."""
LONGEST_SECONDS = 7 * 24 * 3600
"""How long the parts of an upload wait for the rest."""


@dataclass(frozen=True)
class Announced:
    """A file that a client will send. Raises InvalidValue, UnsupportedFile and TooLarge."""

    sha256: str
    name: str
    """Cleaned."""
    size: int
    offset: int = 0

    def __post_init__(self) -> None:
        if self.size == 0:
            raise UnsupportedFile(path=self.name, problem=Message("it is empty."))
        if self.size > settings().file_bytes:
            raise safe_open.of_files().error(self.name)
        if not 0 <= self.offset <= self.size:
            expected = Message("from 0 to the file's size, {size}", size=self.size)
            raise InvalidValue(name="offset", value=self.offset, expected=expected)


class Uploads:
    """Uploads into one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def known(self, file: Announced) -> Resolved | None:
        """The model of a file that is here whole; None where it is not."""
        return opening.known(file.sha256, file.name, self.store)

    def size(self, sha256: str) -> int:
        """Bytes of a file that is here whole."""
        return self.store.size(kept.KIND, sha256)

    def received(self, sha256: str) -> int:
        """Bytes that are here, from the beginning of a file up to the first gap."""
        return sum(length for _, length in self._parts(sha256))

    def _parts(self, sha256: str) -> list[tuple[int, int]]:
        """Offset and length of the parts that follow on each other from the beginning."""
        longest: dict[int, int] = {}
        for name in self.store.names(_folder(sha256)):
            offset, length = (int(number) for number in name.split("-"))
            longest[offset] = max(length, longest.get(offset, 0))
        chain, at = [], 0
        while at in longest:
            chain.append((at, longest[at]))
            at += longest[at]
        return chain

    def receive(self, file: Announced, chunks: Iterable[bytes]) -> Resolved:
        """Take bytes of a file, from its offset on; the last of them make it a model.

        Raises InvalidValue for bytes that do not follow on those that are here,
        UploadIncomplete when more must come, WrongHash, and what `opening.open_file` does.
        """
        if whole := self.known(file):
            return whole
        self.store.trim(KIND, BEGUN * settings().file_bytes, most_seconds=LONGEST_SECONDS)
        here = self.received(file.sha256)
        if file.offset > here:
            expected = Message("at most {here}, the bytes that are here", here=here)
            raise InvalidValue(name="offset", value=file.offset, expected=expected)
        self._write(file, chunks)
        if whole := self.known(file):
            return whole  # another call was faster
        if (here := self.received(file.sha256)) < file.size:
            received, size = f"{here:,}", f"{file.size:,}"
            raise UploadIncomplete(name=file.name, received=received, size=size)
        elsewhere = False
        try:
            return self._opened(file)
        except NeedsTorch:  # the process that has it opens the parts
            elsewhere = True
            raise
        finally:
            if not elsewhere:
                self.store.remove(_folder(file.sha256))

    def _write(self, file: Announced, chunks: Iterable[bytes]) -> None:
        at, waiting = file.offset, bytearray()
        try:
            for data in chunks:
                waiting += data
                if at + len(waiting) > file.size:
                    waiting.clear()
                    self.store.remove(_folder(file.sha256))
                    expected = Message(
                        "no more than the {size:,} bytes that were announced", size=file.size
                    )
                    raise InvalidValue(name="data", value=Message("more bytes"), expected=expected)
                if len(waiting) >= PART:
                    at = self._put(file, at, waiting)
        finally:  # the connection may have broken: what came is kept
            self._put(file, at, waiting)

    def _put(self, file: Announced, at: int, waiting: bytearray) -> int:
        if waiting:
            name = _part_name(at, len(waiting))
            self.store.put_file(_folder(file.sha256), name, bytes(waiting))
        at += len(waiting)
        waiting.clear()
        return at

    def _opened(self, file: Announced) -> Resolved:
        digest = hashlib.sha256()
        with safe_open.full_disk_is_reported(), tempfile.NamedTemporaryFile() as copy:
            for part in self._parts(file.sha256):
                data = self.store.read(_folder(file.sha256), _part_name(*part))
                digest.update(data)
                copy.write(data)
            copy.flush()
            if digest.hexdigest() != file.sha256:
                raise WrongHash(name=file.name, found=digest.hexdigest())
            return opening.open_copy(Path(copy.name), file.name, self.store)


def announced(sha256: str, name: str, size: int, offset: int = 0) -> Announced:
    """A file as a client describes it. Raises as `Announced` does."""
    return Announced(_checked_sha256(sha256), _cleaned(name), size, offset)


def _checked_sha256(text: str) -> str:
    """A SHA-256 in lower case. Raises InvalidValue: it becomes the name of a folder."""
    sha256 = text.strip().lower()
    if not is_sha256(sha256):
        expected = Message("64 hexadecimal digits")
        raise InvalidValue(name="sha256", value=repr(text), expected=expected)
    return sha256


def _cleaned(name: str) -> str:
    """A file's own name, taken from the name that a client gives it."""
    return display_name(name.replace("\\", "/").rpartition("/")[2])


def _folder(sha256: str) -> str:
    return f"{KIND}/{sha256}"


def _part_name(offset: int, length: int) -> str:
    return f"{offset:012}-{length}"
