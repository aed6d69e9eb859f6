"""Forecasts for people: ranges, and beside them what came."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.measured import percent
from netgraft.cli.terminal.output import duration, table
from netgraft.cli.terminal.view import facts, settings_of, state_name

if TYPE_CHECKING:
    from rich.table import Table

    from netgraft.v1 import tuning_pb2


def forecast_view(reply: "tuning_pb2.ForecastReply") -> "Iterator[Table]":
    """Yield the table of a forecast."""
    found = reply.forecast
    yield facts(
        [
            (tr("time"), seconds(found.seconds)),
            (tr("GPU-hours"), _numbers(found.gpu_hours) if found.HasField("gpu_hours") else ""),
            (tr("CPU-hours"), _numbers(found.cpu_hours)),
            (tr("cost"), cost(found)),
            (tr("accuracy"), accuracy(found)),
            (tr("epochs"), _epochs(found.epochs)),
            *((tr("rests on"), line) for line in found.because),
            (tr("settings"), ", ".join(settings_of(reply.spec))),
            *((tr("assumed"), line) for line in reply.assumptions),
        ]
    )


def forecasts_view(reply: "tuning_pb2.ListJobsReply") -> "Iterator[Table]":
    """Yield the table of jobs with what was expected of them and what came."""
    made = table(
        tr("job"),
        tr("state"),
        tr("time forecast"),
        tr("took"),
        tr("accuracy forecast"),
        tr("accuracy"),
    )
    for job in reply.jobs:
        expected = job.forecast if job.HasField("forecast") else None
        newest = job.probed_forecast if job.HasField("probed_forecast") else expected
        made.add_row(
            job.id,
            state_name(job.state),
            seconds(expected.seconds) if expected else "–",
            _whole_time(job),
            (accuracy(newest) if newest else "") or "–",
            percent(job.metrics["accuracy"]) if "accuracy" in job.metrics else "",
        )
    yield made


def seconds(found: "tuning_pb2.Range") -> str:
    """Return a range of seconds: 1:05 (0:50 to 1:40)."""
    middle, low, high = (duration(each) for each in (found.middle, found.low, found.high))
    return tr("{middle} ({low} to {high})", middle=middle, low=low, high=high)


def accuracy(found: "tuning_pb2.Forecast") -> str:
    """Return the range of a forecast's accuracy; "" where it has none."""
    if not found.HasField("accuracy"):
        return ""
    reached = found.accuracy
    middle, low, high = (percent(each) for each in (reached.middle, reached.low, reached.high))
    return tr("{middle} ({low} to {high})", middle=middle, low=low, high=high)


def cost(found: "tuning_pb2.Forecast") -> str:
    """Return the range of a forecast's cost; "" where nothing has a price."""
    if not found.HasField("cost"):
        return ""
    return f"{_numbers(found.cost)} {found.currency}"


def _numbers(found: "tuning_pb2.Range") -> str:
    middle, low, high = (f"{each:.3g}" for each in (found.middle, found.low, found.high))
    return tr("{middle} ({low} to {high})", middle=middle, low=low, high=high)


def _epochs(found: "tuning_pb2.Range") -> str:
    low, high = round(found.low), round(found.high)
    return str(high) if low == high else tr("{low} to {high}", low=low, high=high)


def _whole_time(job: "tuning_pb2.Job") -> str:
    """Return the time from the request to the end, which forecasts are about."""
    if not job.HasField("end_time"):
        return ""
    return duration((job.end_time.ToMilliseconds() - job.create_time.ToMilliseconds()) / 1000)
