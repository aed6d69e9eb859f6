"""The stopwatch of a run: what its parts take, for forecasts of others.

A part is timed where it is done (`with part("features"):`), without a stopwatch being handed
there. Where none runs, such as in a test of that part alone, nothing is timed.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass
class Stopwatch:
    """Seconds and the number of times of each part."""

    seconds: dict[str, float] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    _within: list[float] = field(default_factory=list)

    def add(self, name: str, seconds: float, times: int = 1) -> None:
        """Add to a part."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.times[name] = self.times.get(name, 0) + times

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a block. What is timed within it counts there, and not here again."""
        self._within.append(0.0)
        start = time.monotonic()
        try:
            yield
        finally:
            taken = time.monotonic() - start
            inner = self._within.pop()
            if self._within:
                self._within[-1] += taken
            self.add(name, taken - inner)


_running: ContextVar[Stopwatch | None] = ContextVar("stopwatch", default=None)


@contextmanager
def timed() -> Iterator[Stopwatch]:
    """A block whose parts are timed."""
    watch = Stopwatch()
    token = _running.set(watch)
    try:
        yield watch
    finally:
        _running.reset(token)


@contextmanager
def part(name: str) -> Iterator[None]:
    """Time a block as a part of the run that is under way, if one is."""
    watch = _running.get()
    if watch is None:
        yield
        return
    with watch.part(name):
        yield


def running() -> Stopwatch | None:
    """The stopwatch of the run that is under way."""
    return _running.get()
