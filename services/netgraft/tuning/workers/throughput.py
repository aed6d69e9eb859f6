"""A run's speed: when a report or a check is due, and how long the rest will take."""

import time
from collections import deque

REPORT_SECONDS = 0.2
CHECK_SECONDS = 0.3
"""Seconds between two checks of rank 0's command; each is a broadcast, so not after every step."""
MOST_STEPS = 200
"""Most steps between two checks."""
WINDOW = 30
"""Steps over which the speed is averaged."""


class Throughput:
    """Counts steps against the clock. Checks fall on the same steps on all ranks."""

    def __init__(self, total_steps: int, batch_size: int) -> None:
        self.total_steps = total_steps
        self.batch_size = batch_size
        self._times: deque[float] = deque(maxlen=WINDOW + 1)
        self._reported = 0.0
        self._until_check = 1
        self.start()

    def start(self) -> None:
        """Start the clock: the first step is timed from here."""
        self._times.clear()
        self._times.append(time.monotonic())

    def stepped(self) -> None:
        """Count a step."""
        self._times.append(time.monotonic())
        self._until_check -= 1

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
    def images_per_second(self) -> float:
        """Over all ranks, measured lately."""
        return self.batch_size / self._step_seconds if self._step_seconds else 0.0

    def seconds_left(self, steps: int) -> float:
        """The time that the remaining steps will take, where `steps` are taken."""
        return (self.total_steps - steps) * self._step_seconds

    @property
    def _step_seconds(self) -> float:
        count = len(self._times) - 1
        return (self._times[-1] - self._times[0]) / count if count else 0.0
