"""What a run will reach on the held-out pictures, as far as that can be said before.

Before anything is measured little is known, and the range is wide. Some of the pictures tell more:
how many of them are nearer to the mean of their own class than to the others'. The probe's
out-of-fold answers tell most; what is left is chance: which pictures are held out, and what full
tuning adds.
"""

from collections.abc import Sequence

import numpy as np

from netgraft.tuning.forecast.draws import Chance, Draws, from_logit, logit
from netgraft.tuning.forecast.history import Past
from netgraft.tuning.forecast.speeds import Measured
from netgraft.tuning.forecast.work import Work

# Deviations and differences are in logits.
USUAL = 2.2
"""A pretrained network with two classes; more of them are harder."""
HARDER = 0.35
"""Less for each doubling of the classes."""
RANDOM = 1.0
"""Less for a network that learns every layer without a probe."""
UNKNOWN = 1.3
ELSEWHERE = 0.9
"""Deviation between data sets, where there were runs on others."""
SAME_DATA = 0.35
"""Deviation between runs on the same pictures with other settings."""
BY_MEANS = (0.5, 0.55)
"""What a run reaches beyond the nearest mean of a class among some pictures, and its deviation."""
SHIFT = 0.12
"""Deviation between what the probe answers out of fold and on held-out pictures, beyond chance."""
GAIN = 0.5
"""What full tuning adds where it is better, on average."""
BETTER = 0.5
"""How often it is."""
TRUSTED = 6
"""Runs that weigh as much as GAIN and BETTER."""


def before(work: Work, past: Sequence[Past], measured: Measured | None, chance: Chance) -> Draws:
    """Draws of the share that a run would answer rightly of very many pictures, before it runs."""
    same = [each for each in past if each.work.data == work.data and work.data and each.accuracy]
    if same:
        reached = float(np.median([logit(each.accuracy) for each in same]))
        return from_logit(chance.normal(reached, SAME_DATA + 0.3 / len(same)))
    if measured and measured.compared:
        counted = chance.share(measured.right, measured.compared - measured.right)
        more, deviation = BY_MEANS
        return from_logit(logit(counted) + chance.normal(more, deviation))
    usual, deviation = _usual(work), UNKNOWN
    others = [logit(each.accuracy) - _usual(each.work) for each in past if each.accuracy]
    if others:
        weight = len(others) / (len(others) + TRUSTED)
        usual += weight * float(np.median(others))
        deviation = weight * ELSEWHERE + (1 - weight) * UNKNOWN
    return from_logit(chance.normal(usual, deviation))


def after(work: Work, probed: tuple[int, int], chance: Chance) -> Draws:
    """Draws of the share that the probe would answer rightly of very many pictures."""
    right, of = probed
    return from_logit(logit(chance.share(right, of - right)) + chance.normal(0.0, SHIFT))


def tuned(shares: Draws, trains: Draws, past: Sequence[Past], chance: Chance) -> Draws:
    """Draws of what is handed over, where the better of the probe and full tuning is."""
    gains = [gain for each in past if (gain := _gain(each)) is not None]
    weight = len(gains) / (len(gains) + TRUSTED)
    usual = np.where(chance.happens(BETTER), np.abs(chance.normal(0.0, 1.25 * GAIN)), 0.0)
    if gains:
        seen = chance.picked(gains) + chance.normal(0.0, 0.1)
        usual = np.where(chance.happens(weight), seen, usual)
    return from_logit(logit(shares) + trains * usual)


def counted(shares: Draws, work: Work, chance: Chance) -> Draws:
    """Draws of the share that is counted on the pictures that are held out."""
    return chance.counted(shares, max(1, work.held_out))


def _usual(work: Work) -> float:
    harder = HARDER * float(np.log2(max(2, work.classes) / 2))
    return USUAL - harder - (0.0 if work.probes else RANDOM)


def _gain(each: Past) -> float | None:
    """What full tuning added to the probe in a run, in logits."""
    if each.probed is None or each.accuracy is None or not each.epochs:
        return None
    return float(logit(each.accuracy) - logit(each.probed[0] / max(1, each.probed[1])))
