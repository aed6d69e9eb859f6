"""Values that are not known exactly, as many draws of each.

What is added up and multiplied are draws, so that a sum of two uncertain values needs no formula.
They are drawn from a fixed seed: the same facts give the same forecast.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netgraft.tuning.forecast.ranges import Range

DRAWS = 4_000
TAIL = 0.05
"""Share of the draws below a range, and above it."""
Draws = NDArray[np.float64]


def range_of(draws: Draws) -> Range:
    """The range that holds 90 % of some draws."""
    return Range(*(float(value) for value in np.quantile(draws, (TAIL, 0.5, 1 - TAIL))))


class Chance:
    """Draws, the same ones for the same questions in the same order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.Generator(np.random.Philox(seed))

    def normal(self, middle: float = 0.0, deviation: float = 1.0) -> Draws:
        """Draws from a normal distribution."""
        return self._random.normal(middle, deviation, DRAWS)

    def around(self, value: float, deviation: float) -> Draws:
        """Draws of a positive value that is known up to a factor of about exp(`deviation`)."""
        return value * np.exp(self.normal(0.0, deviation))

    def share(self, right: float, wrong: float) -> Draws:
        """Draws of a share of which so many were counted (Jeffreys' prior)."""
        return self._random.beta(right + 0.5, wrong + 0.5, DRAWS)

    def counted(self, shares: Draws, of: int) -> Draws:
        """Draws of the share that is counted among so many."""
        return self._random.binomial(of, np.clip(shares, 0, 1)) / max(1, of)

    def picked(self, values: Any, weights: Any = None) -> Draws:
        """Draws from values that were seen."""
        chances = None if weights is None else np.asarray(weights) / np.sum(weights)
        return self._random.choice(np.asarray(values, dtype=float), DRAWS, p=chances)

    def happens(self, probability: Any) -> NDArray[np.bool_]:
        """Draw whether something happens, by its probability, or by one for each draw."""
        found: NDArray[np.bool_] = self._random.random(DRAWS) < probability
        return found


def logit(share: Any) -> Any:
    """A share between 0 and 1 on the whole line, never infinite."""
    kept = np.clip(share, 1e-4, 1 - 1e-4)
    return np.log(kept / (1 - kept))


def from_logit(value: Draws) -> Draws:
    """The shares whose `logit` is a value."""
    found: Draws = 1 / (1 + np.exp(-value))
    return found
