"""How fast a run goes: when to tell, when to look up, how long it will take."""

import time
from collections import deque

TELL_SECONDS = 0.2
LOOK_SECONDS = 0.3
"""Between two looks at what rank 0 was told; each is a broadcast, so not with every step."""
MOST_STEPS = 200
WINDOW = 30
"""Steps over which the speed is averaged."""


class Pace:
    """Counts steps against the clock. Looks fall on the same steps on all ranks."""

    def __init__(self, total_steps: int, batch_size: int) -> None:
        self.total_steps = total_steps
        self.batch_size = batch_size
        self._times: deque[float] = deque([time.monotonic()], maxlen=WINDOW + 1)
        self._told = 0.0
        self._until_look = 1

    def stepped(self) -> None:
        """A step was taken."""
        self._times.append(time.monotonic())
        self._until_look -= 1

    def tells(self) -> bool:
        """Whether it is time to tell of progress; then counts as told."""
        due = self._times[-1] - self._told >= TELL_SECONDS
        if due:
            self._told = self._times[-1]
        return due

    def looks(self) -> bool:
        """Whether this is a step after which all ranks look up."""
        return self._until_look <= 0

    def look_after(self, steps: int) -> None:
        """Look up again after so many steps, as all ranks agreed."""
        self._until_look = steps

    def steps_to_next_look(self) -> int:
        return max(1, min(MOST_STEPS, round(LOOK_SECONDS / max(1e-6, self._step_seconds))))

    @property
    def images_per_second(self) -> float:
        """Over all workers, measured lately."""
        return self.batch_size / self._step_seconds if self._step_seconds else 0.0

    def seconds_left(self, steps: int) -> float:
        """Estimated time for the steps that remain."""
        return (self.total_steps - steps) * self._step_seconds

    @property
    def _step_seconds(self) -> float:
        count = len(self._times) - 1
        return (self._times[-1] - self._times[0]) / count if count else 0.0
