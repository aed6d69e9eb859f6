"""The one pass over a data set: every picture is read once and decoded once.

What it leaves is the facts that the checks look at, and the pixels, for features and training.
Threads decode, because decoding releases the interpreter lock; a picture's bytes are let go as soon
as it is decoded, so that memory holds as many files as there are threads.
"""

import hashlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from netgraft.errors import InvalidData
from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Seen
from netgraft.tuning.data.comparing import is_compared
from netgraft.tuning.data.decode import error_for, examined
from netgraft.tuning.data.facts import PictureFacts
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.pixels import Pixels

AHEAD = 4
"""Pictures for each thread that are under way."""
SMALLEST_SIDE = 64
"""Side for a pass whose pixels nobody asks for: what the checks look at needs no more."""
UNREADABLE = plural("{files} cannot be read.", "{count} pictures cannot be read: {files}.")


class Reading:
    """A pass over a manifest, or over some of its pictures."""

    def __init__(
        self,
        manifest: Manifest,
        side: int = SMALLEST_SIDE,
        *,
        indices: Sequence[int] | None = None,
        known: Sequence[PictureFacts] = (),
        keep: bool = True,
        threads: int | None = None,
    ) -> None:
        """`indices`: the pictures to read, such as a rank's share; None: all. `known`: what an
        earlier pass over the same files found; then nothing is read. `keep`: whether the pixels
        are kept for what comes after.
        """
        self.manifest = manifest
        self.indices = range(len(manifest.names)) if indices is None else indices
        self.facts = list(known) or [PictureFacts()] * len(manifest.names)
        self.pixels = Pixels(manifest, side) if keep else Pixels(manifest, side, 0)
        self.is_known = bool(known)
        """Whether an earlier pass has found the facts, so that this one reads nothing."""
        self._threads = threads or os.cpu_count() or 1

    def read(self) -> Iterator[int]:
        """Read the pictures; yields how many have been read, after each of them."""
        if self.is_known:
            yield len(self.indices)
            return
        waiting: deque[tuple[int, Future[PictureFacts]]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="read") as pool:
            try:
                done = 0
                for index in self.indices:
                    waiting.append((index, pool.submit(self._one, index)))
                    if len(waiting) >= AHEAD * self._threads:
                        done += self._take(waiting)
                        yield done
                while waiting:
                    done += self._take(waiting)
                    yield done
            finally:
                for _, future in waiting:
                    future.cancel()

    def finish(self) -> "Reading":
        """Read all pictures, and return this."""
        for _ in self.read():
            pass
        return self

    @property
    def seen(self) -> Seen:
        """Return what the checks look at."""
        return Seen(self.manifest, self.facts)

    @property
    def sound(self) -> list[int]:
        """The pictures that could be read whole."""
        return [index for index in self.indices if not self.facts[index].fault]

    @property
    def data_hash(self) -> str:
        """SHA-256 over the hashes of all contents, in order."""
        return hashlib.sha256("\n".join(each.content for each in self.facts).encode()).hexdigest()

    def must_be_sound(self) -> None:
        """Raise InvalidData, which names every picture that cannot be read."""
        names = self.manifest.names
        faulty = [index for index in self.indices if self.facts[index].fault]
        if faulty and {self.facts[index].fault for index in faulty} == {"too_large"}:
            faulty = faulty[:1]  # its error says how to allow them all
        if len(faulty) == 1:
            facts, name = self.facts[faulty[0]], names[faulty[0]]
            raise error_for(facts, name=name, reference=self.manifest.reference)
        if faulty:
            files = [names[index] for index in faulty]
            problem = Message(UNREADABLE, count=len(files), files=files)
            raise InvalidData(data=self.manifest.reference, problem=problem)

    def _one(self, index: int) -> PictureFacts:
        decoded, data = self.pixels.fresh(index)
        facts = examined(decoded, data)
        if is_compared(index, len(self.manifest.names)):
            return facts
        return replace(facts, looks=b"")

    def _take(self, waiting: "deque[tuple[int, Future[PictureFacts]]]") -> int:
        index, future = waiting.popleft()
        self.facts[index] = future.result()
        return 1


def check_pictures(manifest: Manifest) -> None:
    """Read every picture, once per process as long as no file changes.

    Raises InvalidData, which names every picture that cannot be read.
    """
    if (fingerprint := manifest.fingerprint) in _sound:
        return
    Reading(manifest, keep=False).finish().must_be_sound()
    _sound.add(fingerprint)


_sound: set[str] = set()
"""Fingerprints of the data sets that this process has read and found undamaged."""
