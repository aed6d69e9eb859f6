"""The parts of a run, and the seconds of each: from the speeds of pieces, and how many there are.

Constants are those of two quiet cores. Knows nothing of earlier runs.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from netgraft.tuning.forecast.work import Work

SETTLED_BY = 512
"""Pictures by which batch norms settle before they are measured."""
FORWARD_IN_STEP = 0.3
"""Share of a training step that its forward pass takes, with the statistics of the batch."""
FORMS = 48
"""Pictures that are run through the network while the form of its features is chosen, about."""
PILOTS = 9
"""Steps of a pilot that chooses the number format: three in each of three forms."""
SMALL = 5_000
"""Logits up to which a head is chosen in several rounds of cross-validation."""

Seconds = Mapping[str, float]
"""Of each piece of work."""


@dataclass(frozen=True)
class Part:
    """One part of a run."""

    each: Callable[[Work, Seconds], float]
    """Seconds of doing it once."""
    probe: int = 0
    """How often it is done where there is a probe."""
    training: int = 0
    """How often where steps follow a probe, or come without one."""
    always: int = 0
    per_epoch: bool = False
    follows: bool = False
    """Whether `training` counts only where a probe came before."""
    kept: bool = False
    """Whether a probe goes without it where features are kept."""
    probing: bool = False
    """Whether it is over when the probe is there."""


def _stored(work: Work) -> float:
    return 0.05 + 6e-9 * work.parameters


def _settled(work: Work, one: Seconds) -> float:
    settled = work.batch * -(-min(work.fit, SETTLED_BY) // max(1, work.batch))
    return settled * FORWARD_IN_STEP * one["step"]


def _read(work: Work, one: Seconds) -> float:
    return 0.01 + work.pictures * (5e-6 if work.seen else one["read"])


def _features(work: Work, one: Seconds) -> float:
    # Pictures that were read before are decoded when they are first asked for.
    decoded = work.train * one["read"] / 2 if work.seen else 0.0
    return decoded + work.train * one["forward"]


def _form(work: Work, one: Seconds) -> float:
    return 0.25 + 4e-9 * work.parameters + FORMS * one["forward"]


def _head(work: Work, one: Seconds) -> float:
    columns = 1 if work.classes == 2 else work.classes
    return 0.02 + (_solving(work.train * columns) + _solving(work.fit * columns)) / 2


def _solving(logits: int) -> float:
    """Seconds of 25 strengths and all folds, which are solved together; of few logits in several
    rounds, and more exactly (train/probe.py).
    """
    return 0.0011 * logits**0.9 if logits <= SMALL else 0.01 * math.sqrt(logits)


def _answers(work: Work, one: Seconds) -> float:
    return work.held_out * one["ask"] + _stored(work)


def _measure(work: Work, one: Seconds) -> float:
    return _settled(work, one) + work.held_back * one["ask"] + 2 * _stored(work)


PARTS: dict[str, Part] = {
    "start": Part(lambda work, one: 0.8, always=1, probing=True),
    "read": Part(_read, always=1, probing=True),
    "build": Part(lambda work, one: 0.15 + 5e-9 * work.parameters, always=1, probing=True),
    "form": Part(_form, probe=1, training=1, follows=True, kept=True, probing=True),
    "features": Part(_features, probe=1, training=1, follows=True, kept=True, probing=True),
    "head": Part(_head, probe=2, training=1, follows=True, probing=True),
    "answers": Part(_answers, probe=1),
    "pilot": Part(lambda work, one: PILOTS * 1.2 * work.batch * one["step"], training=1),
    "settle": Part(_settled, training=1, follows=True),
    "steps": Part(lambda work, one: work.steps * work.batch * one["step"], per_epoch=True),
    "measure": Part(_measure, per_epoch=True),
    "result": Part(_answers, training=1),
    "rest": Part(lambda work, one: 0.2, always=1),
}


def pieces(work: Work, parts: Mapping[str, tuple[float, int]]) -> dict[str, float]:
    """The seconds of each piece of work, as far as the parts show it."""

    def once(name: str) -> float:
        seconds, times = parts.get(name, (0.0, 0))
        return seconds / times if times else 0.0

    found = {
        "step": once("steps") / max(1, work.steps * work.batch),
        "ask": max(0.0, once("answers") - _stored(work)) / max(1, work.held_out),
    }
    if not work.seen:
        found["read"] = max(0.0, once("read") - 0.01) / max(1, work.pictures)
        found["forward"] = once("features") / max(1, work.train)
    return {name: seconds for name, seconds in found.items() if seconds > 0}
