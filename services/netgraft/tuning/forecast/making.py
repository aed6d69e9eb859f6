"""Forecasts, from a resolved spec to the ranges: what earlier runs show, what a pilot measured,
and what a run knows once it has made its probe.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from netgraft.errors import NetgraftError
from netgraft.store.store import Store
from netgraft.tuning.forecast import measuring
from netgraft.tuning.forecast.expecting import forecast
from netgraft.tuning.forecast.forecast import MEASURED, START, WORK, Forecast
from netgraft.tuning.forecast.history import keep_forecast, past_runs
from netgraft.tuning.forecast.measuring import measured_before
from netgraft.tuning.forecast.speeds import Measured, speeds_of
from netgraft.tuning.forecast.work import Saved, Work, work_of
from netgraft.tuning.jobs import ceilings
from netgraft.tuning.jobs.spec import Spec


@dataclass(frozen=True)
class Forecasting:
    """The progress of a forecast: how much was measured, and the forecast so far."""

    done: int
    total: int
    forecast: Forecast


def by_earlier_runs(
    spec: Spec, store: Store, saved: Saved | None = None
) -> tuple[Work, Measured | None, Forecast]:
    """A forecast at once: by earlier runs, and by a pilot if there was one for such a run.

    `saved`: as `work_of` has it. Raises DataNotFound, OutsideDataRoots and InvalidData.
    """
    work = work_of(spec, store, saved)
    measured = measured_before(spec, store)
    return work, measured, made(spec, work, store, measured)


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
            found = made(spec, work, store, each.measured)
        yield Forecasting(each.done, total, found)


def made(spec: Spec, work: Work, store: Store, measured: Measured | None = None) -> Forecast:
    """A forecast of a run's work by all that is known before it."""
    past = past_runs(store)
    speeds = speeds_of(work, past, measured)
    return forecast(work, speeds, past, measured=measured, ceiling=ceilings.seconds(spec))


def keep_first(spec: Spec, saved: Saved, job: str, store: Store) -> None:
    """Make the forecast of a job that has just been started, and keep it with the job.

    `saved`: as it was before its run began. There is none where the data cannot be read: the run
    says what is wrong with them.
    """
    try:
        work, measured, found = by_earlier_runs(spec, store, saved)
    except NetgraftError:
        return
    seconds = dict(measured.seconds) if measured else {}
    keep_forecast(store, job, {START: found.plain(), MEASURED: seconds, WORK: work.plain()})
