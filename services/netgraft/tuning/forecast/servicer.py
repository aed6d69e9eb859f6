"""Forecasts as messages."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netgraft.language import say
from netgraft.serving.servicers import caller
from netgraft.tuning.forecast.forecast import Forecast
from netgraft.tuning.forecast.ranges import Range
from netgraft.tuning.forecast.sentences import price_of, summary
from netgraft.tuning.jobs.spec import Spec
from netgraft.v1 import tuning_pb2

if TYPE_CHECKING:
    from netgraft.tuning.forecast.making import Forecasting


def forecast_message(found: Forecast | None, spec: Spec) -> tuning_pb2.Forecast | None:
    """Return a forecast of a resolved spec as a message, in the caller's language."""
    if found is None:
        return None
    price, language = price_of(found, spec), caller().language
    return tuning_pb2.Forecast(
        seconds=range_message(found.seconds),
        cpu_hours=range_message(price.cpu_hours),
        gpu_hours=range_message(price.gpu_hours),
        cost=range_message(price.cost),
        currency=price.currency,
        accuracy=range_message(found.accuracy),
        epochs=range_message(found.epochs),
        because=[say(line, language) for line in found.because],
        summary=say(summary(found, spec), language),
    )


def range_message(found: Range | None) -> tuning_pb2.Range | None:
    """Return a range as a message."""
    return tuning_pb2.Range(**found.plain()) if found else None


def reply_message(
    found: "Forecasting", spec: Spec, resolved: tuning_pb2.TuningSpec, assumptions: Sequence[str]
) -> tuning_pb2.ForecastReply:
    """Return the progress of a forecast as a message."""
    return tuning_pb2.ForecastReply(
        done=found.done,
        total=found.total,
        forecast=forecast_message(found.forecast, spec),
        spec=resolved,
        assumptions=assumptions,
    )
