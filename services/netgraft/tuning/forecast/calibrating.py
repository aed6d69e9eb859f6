"""How far forecasts of earlier runs would have been off, each from the others: by that the next one
is moved, and made wider or narrower.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netgraft.tuning.forecast.draws import Chance
from netgraft.tuning.forecast.history import Past
from netgraft.tuning.forecast.parts import seconds_of
from netgraft.tuning.forecast.speeds import Measured, speeds_of

MOST = 24
"""Earlier runs that are forecast again, the newest."""
FEWEST = 4
"""Of fewer nothing is learned."""
TRUSTED = 6
"""Runs that weigh as much as no correction at all."""
WIDEST, NARROWEST = 2.0, 0.6


@dataclass(frozen=True)
class Correction:
    """A correction of forecasts of time."""

    factor: float = 1.0
    scale: float = 1.0
    """Of the deviations of all parts."""


def correction(past: Sequence[Past], *, measured: bool) -> Correction:
    """The correction by earlier runs that had, or had not, been measured before."""
    alike = [each for each in past if bool(each.measured) == measured][:MOST]
    if len(alike) < FEWEST:
        return Correction()
    offs, deviations = zip(*(_off(each, past) for each in alike), strict=True)
    weight = len(alike) / (len(alike) + TRUSTED)
    middle = weight * float(np.median(offs))
    surprise = ((np.asarray(offs) - middle) / np.asarray(deviations)) ** 2
    # One run that something else slowed down says little of the others.
    spread = float(np.minimum(surprise, 9.0).mean())
    scale = float(np.sqrt(weight * spread + (1 - weight)))
    return Correction(float(np.exp(middle)), min(WIDEST, max(NARROWEST, scale)))


def _off(each: Past, past: Sequence[Past]) -> tuple[float, float]:
    """The logarithm of what a run took over what would have been expected of it, and the deviation
    that would have been expected of that. Its epochs are taken as known.
    """
    others = [other for other in past[:MOST] if other is not each]
    chance = Chance()
    measured = Measured(each.measured, 0) if each.measured else None
    epochs = np.full_like(chance.normal(), float(each.epochs))
    speeds = speeds_of(each.work, others, measured)
    draws = np.log(seconds_of(each.work, speeds, epochs, others, chance))
    return float(np.log(each.seconds) - np.median(draws)), max(0.01, float(np.std(draws)))
