"""A forecast in sentences, with what it costs."""

from collections.abc import Iterator
from dataclasses import dataclass

from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.forecast.forecast import Forecast
from netgraft.tuning.forecast.machine import cores
from netgraft.tuning.forecast.ranges import Range
from netgraft.tuning.jobs.spec import Spec

MINUTE, HOUR = 60.0, 3600.0
MANY = 90
"""Of a unit, from which on the next larger one is used."""


@dataclass(frozen=True)
class Price:
    """The processors that a job holds while it runs, and their cost."""

    cpu_hours: Range
    gpu_hours: Range | None
    cost: Range | None
    """None where nothing has a price: no money is claimed."""
    currency: str


def price_of(found: Forecast, spec: Spec) -> Price:
    """Return what a job of a resolved spec costs by the prices in the settings."""
    known = settings()
    hours = found.seconds.times(1 / HOUR)
    held = spec.workers * (spec.threads or max(1, cores() // spec.workers))
    gpu_hours = hours.times(spec.workers) if spec.device == "gpu" else None
    hourly, held_hours = known.price_cpu_hour, hours.times(held)
    if gpu_hours:
        hourly, held_hours = known.price_gpu_hour, gpu_hours
    cost = held_hours.times(hourly) if hourly else None
    return Price(hours.times(held), gpu_hours, cost, known.currency if cost else "")


def summary(found: Forecast, spec: Spec) -> Message:
    """A forecast as one sentence."""
    said = list(_parts(found, price_of(found, spec)))
    joined = said[0]
    for each in said[1:]:
        joined = Message("{first}; {second}", first=joined, second=each)
    return Message("forecast (90 %): {said}", said=joined)


def duration(seconds: float) -> Message:
    """A time in the unit that suits it."""
    if seconds < MANY:
        return Message("{count:.0f} s", count=max(1.0, seconds))
    if seconds < MANY * MINUTE:
        return Message("{count:.2g} min", count=seconds / MINUTE)
    return Message("{count:.1f} h", count=seconds / HOUR)


def _parts(found: Forecast, price: Price) -> Iterator[Message]:
    seconds = found.seconds
    yield Message("{low} to {high}", low=duration(seconds.low), high=duration(seconds.high))
    if found.accuracy:
        low, high = found.accuracy.low, found.accuracy.high
        yield Message("accuracy {low:.1%} to {high:.1%}", low=low, high=high)
    if price.cost:
        yield Message(
            "{low:.2g} to {high:.2g} {currency}",
            low=price.cost.low,
            high=price.cost.high,
            currency=price.currency,
        )
