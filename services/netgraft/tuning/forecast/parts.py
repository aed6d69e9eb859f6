"""The seconds of a whole run. What a part takes on this machine, over what it should by the speeds
of its pieces, is learned from earlier runs, part by part.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from netgraft.tuning.forecast.draws import Chance, Draws
from netgraft.tuning.forecast.history import Past
from netgraft.tuning.forecast.pieces import PARTS, Part
from netgraft.tuning.forecast.speeds import Speed
from netgraft.tuning.forecast.work import Work

TRUSTED = 2
"""Runs that weigh as much as the constants."""
LEAST = {"head": 0.2}
"""The least deviation of a part, where it hangs on more than the numbers of the work: a head of
classes that are hard to tell apart takes longer to converge."""
PART = 0.25
"""Deviation of one part from what it usually takes on a machine, as a power of e."""


def seconds_of(
    work: Work,
    speeds: Mapping[str, Speed],
    epochs: Draws,
    past: Sequence[Past],
    chance: Chance,
    *,
    probed: bool = False,
    scale: float = 1.0,
) -> Draws:
    """Draws of a run's seconds; `probed`: of what is left when the probe is there.

    `epochs`: after the probe, or all. `scale` multiplies all deviations.
    """
    one = {
        piece: chance.around(each.seconds, scale * each.deviation) for piece, each in speeds.items()
    }
    total = np.zeros_like(epochs)
    for name, part in PARTS.items():
        times = _times(part, work, epochs, probed=probed)
        usual, deviation = learned(name, past)
        once = part.each(work, one)  # type: ignore[arg-type]  # draws do as numbers do
        total = total + times * once * usual * np.exp(chance.normal(0.0, scale * deviation))
    return total


def learned(name: str, past: Sequence[Past]) -> tuple[float, float]:
    """Return what a part takes on this machine over what it should, and the deviation of that."""
    if name == "steps":  # nothing but pieces
        return 1.0, 0.02
    logs = [ratio for each in past if (ratio := _log_ratio(name, each)) is not None]
    if not logs:
        return 1.0, 2 * PART
    weight = len(logs) / (len(logs) + TRUSTED)
    spread = float(np.median(np.abs(np.asarray(logs) - np.median(logs)))) * 1.48
    deviation = weight * max(LEAST.get(name, 0.05), spread) + (1 - weight) * 2 * PART
    return float(np.exp(weight * np.median(logs))), deviation


def _log_ratio(name: str, each: Past) -> float | None:
    """The logarithm of what a part took in a run over what it should have taken at its speeds."""
    seconds, times = each.parts.get(name, (0.0, 0))
    if name == "read" and each.work.seen:  # nothing was read
        return None
    part = PARTS[name]
    known = each.speeds
    try:
        expected = part.each(each.work, known) * times
    except KeyError:  # a piece that this run does not show
        return None
    return float(np.log(max(1e-3, seconds) / expected)) if expected > 0 else None


def _times(part: Part, work: Work, epochs: Draws, *, probed: bool) -> Draws:
    """Return how often a part is done, in each draw."""
    over = probed and part.probing
    times = np.full_like(epochs, 0.0 if over else float(part.always))
    if work.probes and not over and not (work.kept and part.kept):
        times = times + part.probe
    if work.probes or not part.follows:
        times = times + part.training * np.minimum(epochs, 1.0)
    if part.per_epoch:
        times = times + epochs
    return times
