"""How many steps a run may still take before it has to end, by what its parts took so far."""

import time
from dataclasses import dataclass

SPARE = 0.02
"""Of the time from the request to the ceiling: kept for what was not foreseen."""
CLEAR = 1.1
"""A plan is shortened in the middle of an epoch when it takes longer than what is left by this."""
WORTH = 0.05
"""At the end of an epoch a plan is changed by this share of its steps or more, or not at all."""
WARM = 3
"""Steps that have to be timed before a plan is made."""


@dataclass(frozen=True)
class Costs:
    """Seconds that the parts of a run take."""

    step: float
    measuring: float
    """At the end of an epoch, with its checkpoint."""
    end: float
    """What is held out measured, and the result stored."""


def steps_that_fit(seconds: float, costs: Costs, per_epoch: int, taken: int) -> int:
    """The steps that fit into so many seconds, where `taken` of an epoch are done.

    Each epoch is measured at its end, and so is one that is not whole.
    """
    left, steps = seconds - costs.end, 0
    while left > costs.measuring:
        ahead = per_epoch - taken
        fitting = int((left - costs.measuring) / max(costs.step, 1e-9))
        if fitting < ahead:
            return steps + fitting
        steps += ahead
        left -= ahead * costs.step + costs.measuring
        taken = 0
    return steps


@dataclass(frozen=True)
class Ceiling:
    """The moment at which a run has to have ended. Rank 0 decides by it."""

    ends: float
    """In seconds since the epoch."""
    span: float
    """Seconds from the request to it."""

    @property
    def seconds_left(self) -> float:
        return self.ends - SPARE * self.span - time.time()

    def plan(
        self, now: int, total: int, most: int, fits: int, *, again: bool, between: bool
    ) -> int:
        """The step at which the run shall end.

        `now`: steps taken; `total`: the present plan; `most`: without a ceiling; `fits`: further
        steps for which there is time; `again`: it was planned before; `between`: between epochs.
        """
        found = min(most, now + fits)
        left = total - now
        if not again or fits == 0:
            return min(total, found)
        if between and abs(found - total) > WORTH * left:
            return found
        return found if left > CLEAR * fits else total
