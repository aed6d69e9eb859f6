"""The forecast of a run, from its work, the speeds of the pieces and earlier runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netgraft.language import Message, plural
from netgraft.tuning.forecast import accuracy, parts
from netgraft.tuning.forecast.calibrating import correction
from netgraft.tuning.forecast.draws import Chance, Draws, range_of
from netgraft.tuning.forecast.forecast import Forecast
from netgraft.tuning.forecast.history import Past
from netgraft.tuning.forecast.speeds import Measured, Speed
from netgraft.tuning.forecast.work import Work

CHANCE_WRONG = 5
"""Held-back pictures that a probe errs on where another model could be shown to be better."""
ALL_EPOCHS = 0.35
"""How often a run that stops when nothing is gained does all of its epochs."""
TRUSTED = 4
"""Runs that weigh as much as that."""


@dataclass(frozen=True)
class Known:
    """The knowledge of a run that has made its probe."""

    probed: tuple[int, int]
    """Training pictures that the probe answers rightly out of fold, and how many there are."""
    trains: bool
    elapsed: float
    """Seconds since StartTuning."""


def forecast(
    work: Work,
    speeds: Mapping[str, Speed],
    past: Sequence[Past],
    *,
    measured: Measured | None = None,
    known: Known | None = None,
    ceiling: float | None = None,
) -> Forecast:
    """A forecast from what is known; `known`: by the run itself, after its probe.

    `ceiling`: the seconds that the run may take in all.
    """
    chance = Chance()
    most = _epochs(work, past, chance)
    if known:
        shares = accuracy.after(work, known.probed, chance)
        trains = np.full_like(shares, float(known.trains))
    else:
        shares = accuracy.before(work, past, measured, most, chance)
        trains = _trains(work, shares, chance)
    epochs = trains * most
    right = correction(past, measured=bool(measured and measured.seconds))
    seconds = right.factor * parts.seconds_of(
        work, speeds, epochs, past, chance, probed=bool(known), scale=right.scale
    )
    if known:
        seconds = seconds + known.elapsed
    if ceiling:
        seconds = np.minimum(seconds, ceiling)
    if work.probes and work.trains:
        shares = accuracy.tuned(work, shares, epochs, past, chance)
    reached = accuracy.counted(shares, work, chance) if work.held_out else None
    return Forecast(
        seconds=range_of(seconds),
        epochs=range_of(epochs),
        accuracy=None if reached is None else range_of(reached),
        because=tuple(_because(work, past, measured, known)),
    )


def _trains(work: Work, shares: Draws, chance: Chance) -> Draws:
    """Draw whether steps are taken: after a good probe only where somebody asked for them."""
    if not work.trains:
        return np.zeros_like(shares)
    if not work.probes or not work.patience:
        return np.ones_like(shares)
    right = np.rint(chance.counted(shares, work.held_back) * work.held_back)
    return (work.held_back - right >= CHANCE_WRONG).astype(float)


def _epochs(work: Work, past: Sequence[Past], chance: Chance) -> Draws:
    """Draws of the epochs that a run does when it trains."""
    least = work.patience + 1
    if not work.patience or least >= work.epochs:
        return np.full_like(chance.normal(), float(work.epochs))
    between = chance.picked(range(least, work.epochs + 1))
    usual = np.where(chance.happens(ALL_EPOCHS), float(work.epochs), between)
    alike = [each for each in past if each.epochs and each.work.patience == work.patience]
    if not alike:
        return usual
    seen = chance.picked([each.epochs for each in alike]).clip(least, work.epochs)
    return np.where(chance.happens(len(alike) / (len(alike) + TRUSTED)), seen, usual)


def _because(
    work: Work, past: Sequence[Past], measured: Measured | None, known: Known | None
) -> "list[Message | str]":
    said: list[Message | str] = []
    if measured:
        template = plural(
            "measured on {count} picture of the data", "measured on {count} pictures of the data"
        )
        said.append(Message(template, count=measured.pictures))
    if past:
        template = plural(
            "from {count} earlier run on this machine", "from {count} earlier runs on this machine"
        )
        said.append(Message(template, count=len(past)))
    else:
        said.append(Message("no earlier run on this machine: what such runs take elsewhere"))
    if known:
        right, of = known.probed
        said.append(
            Message(
                "the probe answers {right} of {total} training pictures rightly that its head had "
                "not seen",
                right=right,
                total=of,
            )
        )
    if work.trains and work.patience and (known is None or known.trains):
        said.append(
            Message(
                "it stops when {patience} epochs bring nothing more, after {epochs} at the latest",
                patience=work.patience,
                epochs=work.epochs,
            )
        )
    return said
