"""What a run will reach on the held-out pictures, as far as that can be said before.

Before anything is measured little is known, and the range is wide. Some of the pictures say more:
how many of them are nearer to the mean of their own class than to the others'. The probe's
out-of-fold answers say most; what is left is chance: which pictures are held out, and what full
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
UNKNOWN = 1.3
ELSEWHERE = 0.9
"""Deviation between data sets, where there were runs on others."""
SAME_DATA = 0.35
"""Deviation between runs on the same pictures with other settings."""
BY_MEANS = (0.8, 0.55)
"""What a run reaches beyond the nearest mean of a class among some pictures, and its deviation."""
UNTRAINED, STEPS = 2.5, 60.0
"""Less without a probe, where no step is taken, and the steps after which that is halved."""
SHIFT = 0.15
"""Deviation between what the probe answers out of fold and on held-out pictures, beyond chance."""
BETTER, MANY = 0.6, 150.0
"""How often full tuning is better than the probe after very many steps, and how many these are."""
GAIN = (0.5, 0.5)
"""What it adds where it is better, and the deviation of that as a power of e."""
TRUSTED = 6
"""Runs that weigh as much as these values."""


def before(
    work: Work, past: Sequence[Past], measured: Measured | None, epochs: Draws, chance: Chance
) -> Draws:
    """Draws of the share that a run would answer rightly of very many pictures, before it runs."""
    reached = _with_head(work, past, measured, chance)
    if work.probes:
        return from_logit(reached)
    missing = 1 / (1 + epochs * work.steps / STEPS)
    return from_logit(reached - UNTRAINED * missing * np.exp(chance.normal(0.0, 0.6)))


def _with_head(
    work: Work, past: Sequence[Past], measured: Measured | None, chance: Chance
) -> Draws:
    """Draws of the logit of the share that a converged head would answer rightly."""
    alike = [each for each in past if each.accuracy and each.work.probes]
    same = [each for each in alike if each.work.data == work.data and work.data]
    if same:
        reached = float(np.median([logit(each.accuracy) for each in same]))
        return chance.normal(reached, SAME_DATA + 0.3 / len(same))
    if measured and measured.compared:
        counted = chance.share(measured.right, measured.compared - measured.right)
        more, deviation = BY_MEANS
        found: Draws = logit(counted) + chance.normal(more, deviation)
        return found
    usual, deviation = _usual(work), UNKNOWN
    others = [logit(each.accuracy) - _usual(each.work) for each in alike]
    if others:
        weight = len(others) / (len(others) + TRUSTED)
        usual += weight * float(np.median(others))
        deviation = weight * ELSEWHERE + (1 - weight) * UNKNOWN
    return chance.normal(usual, deviation)


def after(work: Work, probed: tuple[int, int], chance: Chance) -> Draws:
    """Draws of the share that the probe would answer rightly of very many pictures."""
    right, of = probed
    return from_logit(logit(chance.share(right, of - right)) + chance.normal(0.0, SHIFT))


def tuned(work: Work, shares: Draws, epochs: Draws, past: Sequence[Past], chance: Chance) -> Draws:
    """Draws of what is handed over, where the better of the probe and full tuning is."""
    often = BETTER * (1 - np.exp(-epochs * work.steps / MANY))
    known = [each for each in past if each.epochs and each.probed]
    if known:
        expected = sum(BETTER * (1 - np.exp(-each.epochs * each.work.steps / MANY))
                       for each in known)  # fmt: skip
        ratio = (_times_better(known) + TRUSTED * BETTER) / (expected + TRUSTED * BETTER)
        often = np.clip(often * ratio, 0, 0.95)
    middle, deviation = GAIN
    gains = [gain for each in known if (gain := _gain(each)) is not None]
    size = chance.around(middle, deviation)
    if gains:
        seen = chance.picked(gains) + chance.normal(0.0, 0.15)
        size = np.where(chance.happens(len(gains) / (len(gains) + TRUSTED)), seen, size)
    return from_logit(logit(shares) + chance.happens(often) * size)


def counted(shares: Draws, work: Work, chance: Chance) -> Draws:
    """Draws of the share that is counted on the pictures that are held out."""
    return chance.counted(shares, max(1, work.held_out))


def _usual(work: Work) -> float:
    return USUAL - HARDER * float(np.log2(max(2, work.classes) / 2))


def _times_better(known: Sequence[Past]) -> int:
    """Return how often full tuning was handed over: only then it has a result of its own."""
    return sum(1 for each in known if "result" in each.parts)


def _gain(each: Past) -> float | None:
    """Return what full tuning added to the probe in a run where it was better, in logits."""
    if each.probed is None or each.accuracy is None or "result" not in each.parts:
        return None
    return float(logit(each.accuracy) - logit(each.probed[0] / max(1, each.probed[1])))
