"""Changes of a job's row, each with the event that records it, inside one transaction."""

import time
from dataclasses import replace
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from netgraft.errors import NetgraftError, to_json
from netgraft.store.tables import JobEventRow, JobRow
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import ALIVE, RESUMABLE, State


def change(
    session: Session,
    job_id: str,
    facts: dict[str, Any],
    *,
    states: tuple[State, ...] = ALIVE,
    of_attempt: int | None = None,
    of_submission: str | None = None,
) -> bool:
    """Change the row if it is in one of the states (and of that attempt); True if it was.

    The first statement of each transaction that writes: it takes the lock.
    """
    statement = update(JobRow).where(JobRow.id == job_id, JobRow.state.in_(states))
    if of_attempt is not None:
        statement = statement.where(JobRow.attempt == of_attempt)
    if of_submission is not None:
        statement = statement.where(JobRow.submission == of_submission)
    return bool(session.execute(statement.values(**facts)).rowcount)  # type: ignore[attr-defined]


def end(
    session: Session,
    job_id: str,
    state: State,
    error: NetgraftError | None = None,
    facts: dict[str, Any] | None = None,
    **of: Any,
) -> bool:
    """End a living job and record it; False when it was not living (or not `of` that run)."""
    failure = {"error_reason": error.reason, "error_message": to_json(error)} if error else {}
    ended = {"state": state, "ended": time.time(), "cancel_asked": False}
    if not change(session, job_id, {**ended, **failure, **(facts or {})}, **of):
        return False
    message = error.message if error else ""
    append(session, job_id, Event(Kind.STATE, state=state, message=message))
    return True


def append(session: Session, job_id: str, event: Event) -> None:
    """Append an event of the present attempt. The row must have been written before."""
    attempt = session.scalar(select(JobRow.attempt).where(JobRow.id == job_id))
    events.append(session, job_id, replace(event, attempt=attempt or 1))


def losses(session: Session, job_id: str) -> int:
    """Number of times that the job's run was lost since it last made progress.

    That is a checkpoint beyond all before it, or a request to resume.
    """
    kinds = [JobEventRow.body.contains(f'"kind": "{kind}"') for kind in ("state", "checkpoint")]
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, or_(*kinds))
    first = -1  # the first time that it is queued, nothing was lost
    count, reached = first, 0
    for event in map(events.from_row, session.scalars(query.order_by(JobEventRow.seq))):
        if event.kind is Kind.CHECKPOINT and event.step > reached:
            count, reached = 0, event.step
        elif event.state in (*RESUMABLE, State.SUCCEEDED):
            count = first
        elif event.state == State.QUEUED:
            count += 1
    return count
