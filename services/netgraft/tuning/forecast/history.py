"""Earlier runs: what their parts took, and what they reached; kept with their jobs.

A forecast is kept beside its job as well, so that what was expected stands beside what came.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from sqlalchemy import select, update

from netgraft.store.store import Store
from netgraft.store.tables import JobRow
from netgraft.tuning.forecast.machine import machine
from netgraft.tuning.forecast.pieces import pieces
from netgraft.tuning.forecast.work import Work
from netgraft.tuning.jobs.job import State

MOST_RUNS = 200
"""Earlier runs that a forecast looks at, the newest."""
FORMAT = 1
"""Of timings: what another format wrote is passed over."""


@dataclass(frozen=True)
class Past:
    """A run that has succeeded."""

    work: Work
    parts: Mapping[str, tuple[float, int]]
    """Seconds of each part, and how often it was done."""
    seconds: float
    """Of all, from StartTuning on."""
    epochs: int
    """After the probe, if there was one."""
    accuracy: float | None = None
    probed: tuple[int, int] | None = None
    """Training pictures that the probe answered rightly out of fold, and how many there were."""
    measured: Mapping[str, float] = field(default_factory=dict)
    """What a pilot had measured before, by piece."""
    machine: str = ""

    @cached_property
    def speeds(self) -> dict[str, float]:
        """The seconds of each piece of work, as far as the parts show it."""
        return pieces(self.work, self.parts)

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON, without what the job says itself."""
        return {
            "format": FORMAT,
            "machine": self.machine,
            "work": self.work.plain(),
            "parts": {name: list(each) for name, each in self.parts.items()},
            "seconds": self.seconds,
            "epochs": self.epochs,
            "accuracy": self.accuracy,
            "probed": self.probed,
            "measured": dict(self.measured),
        }


def past_runs(store: Store) -> list[Past]:
    """The newest runs on machines of this kind that have succeeded."""
    query = (
        select(JobRow.timings)
        .where(JobRow.state == State.SUCCEEDED, JobRow.timings.is_not(None))
        .order_by(JobRow.created.desc())
        .limit(MOST_RUNS)
    )
    with store.session() as session:
        documents = [json.loads(text) for text in session.scalars(query) if text]
    here = machine()
    alike = (each for each in documents if each["format"] == FORMAT and each["machine"] == here)
    return [past_from(each) for each in alike]


def past_from(document: Mapping[str, Any]) -> Past:
    """The run that `Past.plain` wrote."""
    probed: Sequence[int] | None = document["probed"]
    return Past(
        work=Work.from_plain(document["work"]),
        parts={name: (seconds, int(times)) for name, (seconds, times) in document["parts"].items()},
        seconds=document["seconds"],
        epochs=document["epochs"],
        accuracy=document["accuracy"],
        probed=(probed[0], probed[1]) if probed else None,
        measured=document["measured"],
        machine=document["machine"],
    )


def keep_timings(store: Store, job: str, past: Past) -> None:
    """Keep what a run took, with its job."""
    _write(store, job, timings=json.dumps(past.plain()))


def keep_forecast(store: Store, job: str, document: Mapping[str, Any]) -> None:
    """Keep forecasts with their job."""
    _write(store, job, forecast=json.dumps(document, ensure_ascii=False))


def _write(store: Store, job: str, **values: str) -> None:
    with store.session() as session:
        session.execute(update(JobRow).where(JobRow.id == job).values(**values))
