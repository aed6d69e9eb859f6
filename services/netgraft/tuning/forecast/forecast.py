"""A forecast of one run: the ranges, what they rest on, and how they are kept with a job."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from netgraft.language import Message, from_plain, to_plain
from netgraft.tuning.forecast.ranges import Range

START, PROBED, MEASURED, WORK = "start", "probed", "measured", "work"
"""Of what is kept with a job: the forecast when it was started, that of its run after the probe,
what had been measured before, and what it has to do."""


@dataclass(frozen=True)
class Forecast:
    """The ranges of what a run will take and reach."""

    seconds: Range
    epochs: Range
    accuracy: Range | None = None
    because: tuple[Message | str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seconds": self.seconds.plain(),
            "epochs": self.epochs.plain(),
            "accuracy": self.accuracy.plain() if self.accuracy else None,
            "because": [to_plain(line) for line in self.because],
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            Range(**values["seconds"]),
            Range(**values["epochs"]),
            Range.from_plain(values["accuracy"]),
            tuple(cast("Message | str", from_plain(line)) for line in values["because"]),
        )


def document(text: str) -> dict[str, Any]:
    """Return what is kept with a job; {} where there is nothing."""
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def kept(text: str, which: str) -> Forecast | None:
    """A forecast that is kept with a job: START or PROBED."""
    found = document(text).get(which)
    return Forecast.from_plain(found) if found else None
