"""The learning rate as a function of the step: a linear warm-up, then a half cosine.

Cosine: SGDR, arXiv:1608.03983. Warm-up: arXiv:1706.02677. It needs no state, so
a resumed run has the rates that an undisturbed one has.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Steps count from 0."""

    peak: float
    warmup_steps: int
    total_steps: int
    first_step: int = 0
    """Where it begins: a run that goes on after its end has another schedule from there."""

    def rate(self, step: int) -> float:
        """The learning rate of a step; falls to a hundredth of the peak at the end."""
        step -= self.first_step
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        span = max(1, self.total_steps - self.first_step - self.warmup_steps)
        share = min(1.0, (step - self.warmup_steps) / span)
        return self.peak * max(0.01, 0.5 * (1 + math.cos(math.pi * share)))
