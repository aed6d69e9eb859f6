"""A job at one moment: the row of the database as a value."""

import json
from dataclasses import dataclass, field
from enum import StrEnum

from netgraft.errors import from_json
from netgraft.language import Message
from netgraft.store.tables import JobRow
from netgraft.tuning.jobs.events import Event
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec


class State(StrEnum):
    """The states of a job, as in `tuning.proto`."""

    QUEUED = "queued"
    PREPARING = "preparing"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"


IN_WORDS = {
    State.QUEUED: Message("queued"),
    State.PREPARING: Message("preparing"),
    State.RUNNING: Message("running"),
    State.SUCCEEDED: Message("succeeded"),
    State.FAILED: Message("failed"),
    State.CANCELLED: Message("cancelled"),
    State.PAUSED: Message("paused"),
}

ALIVE = (State.QUEUED, State.PREPARING, State.RUNNING)
"""The states of a job that goes on by itself."""
RESUMABLE = (State.FAILED, State.CANCELLED, State.PAUSED)
"""The states of a job that goes on when somebody says so."""


@dataclass(frozen=True)
class Job:
    """A job at one moment. Times are seconds since the epoch."""

    id: str
    state: State
    resolved: ResolvedSpec
    created: float
    started: float | None = None
    ended: float | None = None
    heartbeat: float | None = None
    attempt: int = 1
    submission: str = ""
    cancel_asked: bool = False
    error_reason: str = ""
    error_message: str = ""
    result_model: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    last_event: Event | None = None
    forecast: str = ""
    """What it was expected to take and reach, as `tuning/forecast` keeps it; "": nothing."""

    @property
    def alive(self) -> bool:
        """Return whether the job has not ended."""
        return self.state in ALIVE

    @property
    def spec(self) -> Spec:
        """The resolved spec of the training."""
        return self.resolved.spec


def job_from(row: JobRow, last: Event | None) -> Job:
    """The job that a row holds, with its newest event."""
    return Job(
        id=row.id,
        state=State(row.state),
        resolved=ResolvedSpec.from_json(row.spec),
        created=row.created,
        started=row.started,
        ended=row.ended,
        heartbeat=row.heartbeat,
        attempt=row.attempt,
        submission=row.submission or "",
        cancel_asked=row.cancel_asked,
        error_reason=row.error_reason or "",
        error_message=from_json(row.error_message or ""),
        result_model=row.result_model or "",
        metrics=json.loads(row.metrics),
        last_event=last,
        forecast=row.forecast or "",
    )
