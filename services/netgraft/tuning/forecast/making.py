"""Forecasts, from a resolved spec to the ranges: what earlier runs tell, what a pilot measured,
and what a run knows once it has made its probe.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from netgraft.errors import NetgraftError
from netgraft.store.store import Store
from netgraft.tuning.forecast import measuring
from netgraft.tuning.forecast.expecting import Known, forecast
from netgraft.tuning.forecast.forecast import MEASURED, START, WORK, Forecast
from netgraft.tuning.forecast.history import past_runs
from netgraft.tuning.forecast.measuring import measured_before
from netgraft.tuning.forecast.speeds import Measured, speeds_of
from netgraft.tuning.forecast.work import Work, work_of
from netgraft.tuning.jobs.spec import Spec


@dataclass(frozen=True)
class Forecasting:
    """The progress of a forecast: how much was measured, and the forecast so far."""

    done: int
    total: int
    forecast: Forecast


def by_earlier_runs(spec: Spec, store: Store) -> tuple[Work, Measured | None, Forecast]:
    """A forecast at once: by earlier runs, and by a pilot if there was one for such a run.

    Raises DataNotFound, OutsideDataRoots and InvalidData.
    """
    work = work_of(spec, store)
    measured = measured_before(spec, store)
    return work, measured, made(work, store, measured)


def forecasts(spec: Spec, store: Store, *, quick: bool = False) -> Iterator[Forecasting]:
    """Forecasts: first by earlier runs, then, unless `quick`, by a pilot as well.

    Raises DataNotFound, OutsideDataRoots, InvalidData and NotPossible.
    """
    work, measured, found = by_earlier_runs(spec, store)
    total = measuring.STAGES
    yield Forecasting(total if measured else 0, total, found)
    if measured or quick:
        return
    for each in measuring.measure(spec, work, store):
        if each.measured:
            found = made(work, store, each.measured)
        yield Forecasting(each.done, total, found)


def made(
    work: Work, store: Store, measured: Measured | None = None, known: Known | None = None
) -> Forecast:
    """A forecast of a run's work by all that is known."""
    past = past_runs(store)
    speeds = speeds_of(work, past, measured)
    return forecast(work, speeds, past, measured=measured, known=known)


def first(spec: Spec, store: Store) -> dict[str, Any]:
    """A forecast to keep with a job that is about to start; {} where the data say nothing.

    Its run then says what is wrong with them.
    """
    try:
        work, measured, found = by_earlier_runs(spec, store)
    except NetgraftError:
        return {}
    seconds = dict(measured.seconds) if measured else {}
    return {START: found.plain(), MEASURED: seconds, WORK: work.plain()}
