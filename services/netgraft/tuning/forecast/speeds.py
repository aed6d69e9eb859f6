"""The seconds of the smallest pieces of work: reading a picture, running it through a network.

They are measured where somebody has asked for a forecast, known where the same network has run at
the same side on this machine before, and else follow from their size: how much longer or shorter
than usual this machine took for others, or, in its first run, takes elsewhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from netgraft.tuning.forecast.history import Past
from netgraft.tuning.forecast.work import Work

PIECES = ("read", "forward", "step", "ask")
"""Read and decode a picture; its features; its share of a training step; its answer when a model
is measured. Seconds a picture."""
UNKNOWN = 0.6
"""Deviation of a piece that nothing is known of but its size, as a power of e."""
BY_SIZE = 0.35
"""The same where other networks have run on this machine, at least."""
KNOWN = 0.1
"""The same where this network has run here at this side."""
MEASURED = 0.08
"""The same where it was measured just now."""
AS_MEASURED = {"read": 1.0, "forward": 1.12, "step": 1.13, "ask": 1.05}
"""What a run takes for a piece, over what a pilot measures: a step also updates and varies."""
TRUSTED = 3
"""Runs that weigh as much as `AS_MEASURED`."""


@dataclass(frozen=True)
class Speed:
    """The seconds of a piece, and how well they are known."""

    seconds: float
    deviation: float


@dataclass(frozen=True)
class Measured:
    """The results of a pilot on some of the pictures of a run."""

    seconds: Mapping[str, float]
    """Of each piece, as far as it was measured."""
    pictures: int
    right: int = 0
    """Of those, how many the mean of the others of their class is nearest to."""
    compared: int = 0
    """Pictures of which that was asked."""


def speeds_of(
    work: Work, past: Sequence[Past], measured: Measured | None = None
) -> dict[str, Speed]:
    """The speed of each piece in a run."""
    return {piece: _speed(piece, work, past, measured) for piece in PIECES}


def by_size(piece: str, work: Work) -> float:
    """Seconds of a piece by its size alone, as two cores or a GPU usually take."""
    if piece == "read":
        return 6e-4 + 8e-9 * work.bytes / max(1, work.pictures)
    gigaflops = (work.flops or 2.0 * work.parameters * (work.side / 16) ** 2) / 1e9
    area = (work.side / 224) ** 2
    forward = 2e-4 + 1.2e-3 * area + 2.4e-3 * gigaflops
    if work.device == "gpu":
        forward = 1e-4 + 2e-5 * area + 3e-5 * gigaflops
    return forward * {"forward": 1.0, "step": 5.0, "ask": 2.0}[piece] / _places(work)


def _places(work: Work) -> int:
    """Return how many GPUs share the pictures; CPU ranks share the same cores."""
    return max(1, work.workers) if work.device == "gpu" else 1


def _speed(piece: str, work: Work, past: Sequence[Past], measured: Measured | None) -> Speed:
    taken = [(each, each.speeds[piece]) for each in past if each.speeds.get(piece)]
    if measured and piece in measured.seconds:
        return Speed(measured.seconds[piece] * _as_measured(piece, past), MEASURED)
    same = [seconds for each, seconds in taken if _alike(piece, each.work, work)]
    if same:
        return Speed(float(np.median(same)), KNOWN + 0.2 / len(same))
    if not taken:
        return Speed(by_size(piece, work), UNKNOWN)
    logs = [np.log(seconds / by_size(piece, each.work)) for each, seconds in taken]
    spread = float(np.std(logs)) if len(logs) > 1 else UNKNOWN
    seconds = by_size(piece, work) * float(np.exp(np.median(logs)))
    return Speed(seconds, max(BY_SIZE, spread))


def _alike(piece: str, one: Work, other: Work) -> bool:
    """Return whether a piece takes as long in another run."""
    if piece == "read":
        return one.data == other.data and one.side == other.side and bool(one.data)
    names = ("network", "side", "device", "workers", *(("batch",) if piece == "step" else ()))
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _as_measured(piece: str, past: Sequence[Past]) -> float:
    """Return what runs have taken for a piece over what was measured for them."""
    logs = [
        float(np.log(each.speeds[piece] / each.measured[piece]))
        for each in past
        if each.speeds.get(piece) and each.measured.get(piece)
    ]
    usual = float(np.log(AS_MEASURED[piece]))
    weight = len(logs) / (len(logs) + TRUSTED)
    return float(np.exp(usual + weight * ((float(np.median(logs)) if logs else usual) - usual)))
