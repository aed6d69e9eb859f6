"""A run's speed: when a report or a check is due, and how long the rest will take."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import median

REPORT_SECONDS = 0.2
CHECK_SECONDS = 0.3
"""Seconds between two checks of rank 0's command; each is a broadcast, so not after every step."""
MOST_STEPS = 200
"""Most steps between two checks."""
WINDOW = 30
"""Steps over which the speed is averaged."""


class Throughput:
    """Counts steps against the clock. Checks fall on the same steps on all ranks."""

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self._times: deque[float] = deque(maxlen=WINDOW + 1)
        self._reported = 0.0
        self._until_check = 1
        self._waits: deque[float] = deque(maxlen=WINDOW)
        self._first = True
        self.start()

    def start(self) -> None:
        """Start the clock: the first step is timed from here."""
        self._times.clear()
        self._waits.clear()
        self._times.append(time.monotonic())
        self._first = True

    def stepped(self, waited: float = 0.0) -> None:
        """Count a step, which waited so many seconds for its data."""
        self._times.append(time.monotonic())
        self._waits.append(waited)
        self._first = self._first and len(self._times) <= WINDOW
        self._until_check -= 1

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock within the block, in which something else is done."""
        begun = time.monotonic()
        yield
        passed = time.monotonic() - begun
        self._times = deque((at + passed for at in self._times), maxlen=WINDOW + 1)
        self._reported += passed

    def report_is_due(self) -> bool:
        """True if it is time to report progress; if so, it counts as reported."""
        due = self._times[-1] - self._reported >= REPORT_SECONDS
        if due:
            self._reported = self._times[-1]
        return due

    def check_is_due(self) -> bool:
        """True if all ranks check rank 0's command after this step."""
        return self._until_check <= 0

    def check_after(self, steps: int) -> None:
        """Check again after so many steps, as all ranks agreed."""
        self._until_check = steps

    def steps_to_next_check(self) -> int:
        """Number of steps that this rank would take before the next check."""
        return max(1, min(MOST_STEPS, round(CHECK_SECONDS / max(1e-6, self._step_seconds))))

    @property
    def timed(self) -> int:
        """Number of steps that `steady_seconds` knows."""
        return len(self._times) - (2 if self._first else 1)

    @property
    def steady_seconds(self) -> float:
        """The usual time of a step, without the first one, which makes things ready."""
        apart = [after - before for before, after in pairwise(self._times)]
        return median(apart[1:] if self._first else apart)

    @property
    def data_wait(self) -> float:
        """The share of recent time that was spent waiting for data."""
        span = self._times[-1] - self._times[0]
        return min(1.0, sum(self._waits) / span) if span else 0.0

    @property
    def images_per_second(self) -> float:
        """Over all ranks, measured lately."""
        return self.batch_size / self._step_seconds if self._step_seconds else 0.0

    def seconds_for(self, steps: int) -> float:
        """The time that so many steps will take."""
        return steps * self._step_seconds

    @property
    def _step_seconds(self) -> float:
        count = len(self._times) - 1
        return (self._times[-1] - self._times[0]) / count if count else 0.0
