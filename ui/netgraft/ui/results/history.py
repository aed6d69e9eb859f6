"""A job's events as curves."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from netgraft.v1.tuning_pb2 import JobEvent

Point = tuple[float, float]
"""Step and value."""

HELD_BACK = "held_back_"
"""Before the names of figures on held-back training pictures."""
MOST_DRAWN = 400
"""Points of a drawn curve."""


@dataclass
class History:
    """The curves and notes of a job. Steps that an attempt repeats replace what was there."""

    training: dict[int, float] = field(default_factory=dict)
    """Step → loss."""
    rates: dict[int, float] = field(default_factory=dict)
    """Step → learning rate."""
    epochs: dict[int, JobEvent] = field(default_factory=dict)
    """Step → what was measured after it."""
    models: list[JobEvent] = field(default_factory=list)
    """The models that can be used, the first (the probe) first."""
    notes: list[JobEvent] = field(default_factory=list)
    progress: JobEvent = field(default_factory=JobEvent)
    """The newest event that says how far the job is."""
    attempt: int = 0

    def add(self, events: Iterable[JobEvent]) -> None:
        """Add events, in order."""
        for event in events:
            self._add(event)

    def _add(self, event: JobEvent) -> None:
        if event.kind == JobEvent.KIND_STEP:
            self._begin(event)
            self.progress = event
            self.training[event.step] = event.loss
            self.rates[event.step] = event.lr
        elif event.kind == JobEvent.KIND_EPOCH:
            self._begin(event)
            self.epochs[event.step] = event
        elif event.kind == JobEvent.KIND_MODEL:
            self.models.append(event)
        elif event.kind == JobEvent.KIND_NOTE:
            self.notes.append(event)

    def _begin(self, event: JobEvent) -> None:
        """Forget what an earlier attempt had written beyond the point where a new one begins."""
        if event.attempt <= self.attempt:
            return
        self.attempt = event.attempt
        for points in (self.training, self.rates, self.epochs):
            for step in [step for step in points if step >= event.step]:
                del points[step]

    def measured(self, name: str) -> list[Point]:
        """A figure on held-back pictures after each epoch, such as "accuracy"."""
        found = ((step, event.metrics.get(HELD_BACK + name)) for step, event in self.epochs.items())
        return sorted((step, value) for step, value in found if value is not None)

    def probe(self, name: str) -> float | None:
        """A figure of the probe on held-back pictures; None where there is none."""
        for event in self.models:
            if (value := event.metrics.get(HELD_BACK + name)) is not None:
                return value
        return None


def thinned(points: dict[int, float]) -> list[Point]:
    """At most MOST_DRAWN points, each the mean of neighbouring ones."""
    ordered = sorted(points.items())
    width = -(-len(ordered) // MOST_DRAWN) or 1
    groups = [ordered[start : start + width] for start in range(0, len(ordered), width)]
    return [(group[-1][0], sum(value for _, value in group) / len(group)) for group in groups]
