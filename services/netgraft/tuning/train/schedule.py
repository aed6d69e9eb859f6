"""The learning rate as a function of the step: a linear warm-up, then half cosines.

Cosine with warm restarts: SGDR, arXiv:1608.03983. Warm-up: arXiv:1706.02677. It needs no state, so
a resumed run has the rates that an undisturbed one has.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_ROUND, LONGER = 2, 2
"""Epochs of the first round, and by how many each is longer than the one before."""


@dataclass(frozen=True)
class Schedule:
    """Steps count from 0."""

    peak: float
    warmup_steps: int
    total_steps: int
    first_step: int = 0
    """Where it begins: a run that goes on after its end has another schedule from there."""
    restarts: tuple[int, ...] = ()
    """Steps before which a half cosine has ended and another begins, at the peak."""

    def rate(self, step: int) -> float:
        """The learning rate of a step. Each round ends at a hundredth of the peak."""
        warm = self.first_step + self.warmup_steps
        if step < warm:
            return self.peak * (step - self.first_step + 1) / self.warmup_steps
        begun = max((each for each in self.restarts if each <= step), default=warm)
        ends = (each for each in self.restarts if step < each < self.total_steps)
        ended = min(ends, default=self.total_steps)
        share = min(1.0, (step - begun) / max(1, ended - begun))
        return self.peak * max(0.01, 0.5 * (1 + math.cos(math.pi * share)))


def rounds(epochs: int) -> list[int]:
    """The epochs at whose ends a run of at most `epochs` pauses to ask whether it goes on.

    Each round ends with a low rate, and so with weights that are worth having.
    """
    ends, end, length = list[int](), 0, FIRST_ROUND
    while end + 2 * length <= epochs:  # the last round is no shorter than the one before
        end += length
        ends.append(end)
        length += LONGER
    return [*ends, epochs]


def restarts(ends: Sequence[int], per_epoch: int) -> tuple[int, ...]:
    """The steps at which rounds but the first begin."""
    return tuple(end * per_epoch for end in ends[:-1])
