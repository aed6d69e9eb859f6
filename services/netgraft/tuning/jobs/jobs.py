"""The jobs of a store and their life. Knows no Ray, no torch and no protobuf.

    queued ──► preparing ──► running ──► succeeded
      ▲ │          │            │            │
      │ └──────────┴────────────┴──────► failed, cancelled, paused
      └──── resume (of one that succeeded: for more epochs) ────┘

Every change of state is one transaction with the event that records it. A run holds the
number of its attempt and writes only while that number is the job's: a run that was presumed
dead but lives cannot write over its successor.
"""

import json
import secrets
import time
from dataclasses import replace

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from netgraft.errors import DiskFull, JobNotResumable, JobNotRunning, NetgraftError, UnknownJob
from netgraft.language import Message
from netgraft.store.requests import Asked, claim
from netgraft.store.store import Store
from netgraft.store.tables import JobRow
from netgraft.tuning.jobs import events, transition
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import ALIVE, IN_WORDS, Job, State, job_from
from netgraft.tuning.jobs.resuming import AS_BEFORE, Resumption
from netgraft.tuning.jobs.spec import ResolvedSpec


class Superseded(Exception):
    """The job has ended or belongs to a newer attempt; this run must stop."""


class Jobs:
    """The jobs of one store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    # What clients may do

    def create(self, resolved: ResolvedSpec, call: Asked | None = None) -> Job:
        """Store a new job, queued, and the call that made it. Nothing is submitted yet.

        Raises Repeated when the call has made a job before.
        """
        day = time.strftime("%Y%m%d", time.gmtime())
        row = JobRow(
            id=f"tune-{day}-{secrets.token_hex(3)}",
            state=State.QUEUED,
            spec=resolved.to_json(),
            created=time.time(),
            attempt=1,
        )
        with self.store.session() as session:
            if call:
                claim(session, call, row.id)
            session.add(row)
            session.flush()
            events.append(session, row.id, Event(Kind.STATE, attempt=1, state=State.QUEUED))
            job_id = row.id
        return self.get(job_id)

    def get(self, job_id: str) -> Job:
        """One job. Raises UnknownJob."""
        _check_id(job_id)
        with self.store.session() as session:
            return _found(session, job_id)

    def newest(self, state: State | None = None, limit: int = 50) -> list[Job]:
        """Jobs, newest first."""
        query = select(JobRow).order_by(JobRow.created.desc(), JobRow.id).limit(limit)
        if state is not None:
            query = query.where(JobRow.state == state)
        with self.store.session() as session:
            rows = list(session.scalars(query))
            last = events.newest(session, [row.id for row in rows])
            return [job_from(row, last.get(row.id)) for row in rows]

    def events_after(self, job_id: str, seq: int) -> tuple[State, list[Event]]:
        """The state, and events after a number (some hundreds at most). Raises UnknownJob.

        The state is read first: if the job has ended and no event follows, there will be no more.
        """
        _check_id(job_id)
        with self.store.session() as session:
            state = session.scalar(select(JobRow.state).where(JobRow.id == job_id))
            if state is None:
                raise UnknownJob(job=job_id)
            return State(state), events.after(session, job_id, seq)

    def ask_cancel(self, job_id: str) -> Job:
        """Ask a living job to stop. Raises JobNotRunning and UnknownJob."""
        job = self.get(job_id)
        with self.store.session() as session:
            asked = transition.change(session, job_id, {"cancel_asked": True})
        if not asked:
            raise JobNotRunning(job=job_id, state=IN_WORDS[job.state])
        return self.get(job_id)

    def resume(self, job_id: str, call: Asked | None = None, asked: Resumption = AS_BEFORE) -> Job:
        """Queue a job that has ended again, as its next attempt.

        The call that asked is stored. Raises JobNotResumable, UnknownJob, InvalidValue,
        NotPossible, and Repeated when the call has done so before.
        """
        _check_id(job_id)
        with self.store.session() as session:
            if call:
                claim(session, call, job_id)  # first: the same call may be queueing it now
            # A transaction of SQLite that has read before its first write may not be let write.
            job = _found(session, job_id) if call else self.get(job_id)
            asked.check(job)
            fresh = {
                "spec": asked.applied(job).to_json(),
                "state": State.QUEUED,
                "attempt": JobRow.attempt + 1,
                "submission": None,
                "cancel_asked": False,
                "heartbeat": time.time(),
                "started": None,
                "ended": None,
                "error_reason": None,
                "error_message": None,
                "result_model": None,
                "metrics": "{}",
            }
            if not transition.change(
                session, job_id, fresh, states=(job.state,), of_attempt=job.attempt
            ):  # another was faster
                raise JobNotResumable(job=job_id, state=IN_WORDS[State.QUEUED])
            if job.result_model:
                kept = Message(
                    "It is trained further; its model so far stays: {model}.",
                    model=job.result_model[:12],
                )
                transition.append(session, job_id, Event(Kind.NOTE, message=kept))
            transition.append(session, job_id, Event(Kind.STATE, state=State.QUEUED))
        return self.get(job_id)

    def end(self, job_id: str, state: State, error: NetgraftError | None = None) -> bool:
        """End a living job, whoever runs it; False when it had ended already."""
        with self.store.session() as session:
            return transition.end(session, job_id, state, error)

    # What keeps jobs running

    def submitting(self, job: Job) -> str:
        """The name of Ray's submission of the job's present attempt; stored before it is made.

        Ray takes each name once, so later attempts have their number behind it.
        """
        submission = job.id if job.attempt == 1 else f"{job.id}-{job.attempt}"
        facts = {"submission": submission, "heartbeat": time.time()}
        with self.store.session() as session:
            transition.change(session, job.id, facts, of_attempt=job.attempt)
        return submission

    def not_submitted(self, job: Job) -> None:
        """Take back the name of a submission that Ray did not take."""
        with self.store.session() as session:
            transition.change(session, job.id, {"submission": None}, of_attempt=job.attempt)

    def unsubmitted_since(self, before: float) -> list[Job]:
        """Queued jobs whose submission to Ray was tried before a time and failed."""
        query = select(JobRow).where(JobRow.state == State.QUEUED, JobRow.submission.is_(None))
        with self.store.session() as session:
            rows = [row for row in session.scalars(query) if _sign_of_life(row) < before]
            return [job_from(row, None) for row in rows]

    def beat(self, job_id: str, submission: str) -> bool:
        """Show that the job's driver lives; False when the job is no longer this driver's."""
        with self.store.session() as session:
            return transition.change(
                session, job_id, {"heartbeat": time.time()}, of_submission=submission
            )

    def alive(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        query = select(JobRow).where(JobRow.state.in_(ALIVE)).order_by(JobRow.created)
        with self.store.session() as session:
            return [job_from(row, None) for row in session.scalars(query)]

    def silent_since(self, before: float) -> list[Job]:
        """Living jobs that showed no life since a time."""
        query = select(JobRow).where(JobRow.state.in_(ALIVE))
        with self.store.session() as session:
            rows = [row for row in session.scalars(query) if _sign_of_life(row) < before]
            return [job_from(row, None) for row in rows]

    def claim(self, job: Job) -> bool:
        """Begin the next attempt of a silent job; False when it lives or another took it."""
        unchanged = JobRow.heartbeat.is_not_distinct_from(job.heartbeat)
        with self.store.session() as session:
            statement = (
                update(JobRow)
                .where(JobRow.id == job.id, JobRow.attempt == job.attempt)
                .where(JobRow.state.in_(ALIVE), unchanged)
                .values(
                    attempt=job.attempt + 1,
                    state=State.QUEUED,
                    started=None,
                    heartbeat=time.time(),
                )
            )
            if not session.execute(statement).rowcount:  # type: ignore[attr-defined]
                return False
            note = Message(
                "The run's process was lost; it is started again from its last checkpoint."
            )
            transition.append(session, job.id, Event(Kind.NOTE, message=note))
            transition.append(session, job.id, Event(Kind.STATE, state=State.QUEUED))
        return True

    def losses(self, job_id: str) -> int:
        """Number of times that the job's run was lost since it last made progress."""
        with self.store.session() as session:
            return transition.losses(session, job_id)

    # What a run does

    def begin(self, job_id: str) -> int:
        """Start preparing, and return the number of the attempt.

        Workers that start again inside one submission begin another attempt. Raises
        Superseded when the job has ended meanwhile.
        """
        now = time.time()
        with self.store.session() as session:
            begun = {"state": State.PREPARING, "heartbeat": now}
            if not transition.change(session, job_id, begun):
                raise Superseded
            row = session.get_one(JobRow, job_id)
            if row.started is not None:
                row.attempt += 1
                note = "The workers were started again; they go on from the last checkpoint."
                transition.append(session, job_id, Event(Kind.NOTE, message=note))
            row.started = now
            transition.append(session, job_id, Event(Kind.STATE, state=State.PREPARING))
            return row.attempt

    def trains(self, job_id: str, attempt: int, resolved: ResolvedSpec) -> None:
        """Begin to train, with what the run has chosen in the spec. Raises Superseded."""
        facts = {"state": State.RUNNING, "spec": resolved.to_json(), "heartbeat": time.time()}
        with self.store.session() as session:
            if not transition.change(session, job_id, facts, of_attempt=attempt):
                raise Superseded
            transition.append(session, job_id, Event(Kind.STATE, state=State.RUNNING))

    def record(self, job_id: str, attempt: int, happened: list[Event]) -> bool:
        """Store what happened in a run; True when the job is to be cancelled.

        Raises Superseded.
        """
        with self.store.session() as session:
            if not transition.change(
                session, job_id, {"heartbeat": time.time()}, of_attempt=attempt
            ):
                raise Superseded
            for event in happened:
                transition.append(session, job_id, event)
            asked = select(JobRow.cancel_asked).where(JobRow.id == job_id)
            return bool(session.scalar(asked))

    def succeed(
        self,
        job_id: str,
        attempt: int,
        result_model: str,
        metrics: dict[str, float],
        left: int = 0,
    ) -> None:
        """End well. `left`: epochs that a ceiling has left undone. Raises Superseded."""
        resolved = self.get(job_id).resolved
        resolved = replace(resolved, resumed=replace(resolved.resumed, left=left))
        facts = {
            "result_model": result_model,
            "metrics": json.dumps(metrics),
            "spec": resolved.to_json(),
        }
        with self.store.session() as session:
            if not transition.end(
                session, job_id, State.SUCCEEDED, facts=facts, of_attempt=attempt
            ):
                raise Superseded

    def stop(self, job_id: str, attempt: int) -> None:
        """End as cancelled. Raises Superseded."""
        with self.store.session() as session:
            if not transition.end(session, job_id, State.CANCELLED, of_attempt=attempt):
                raise Superseded

    def fail(self, job_id: str, attempt: int, error: NetgraftError) -> None:
        """End because of an error that another attempt would meet again.

        A full disk only pauses the job: once there is room, it goes on.
        """
        state = State.PAUSED if isinstance(error, DiskFull) else State.FAILED
        with self.store.session() as session:
            transition.end(session, job_id, state, error, of_attempt=attempt)


def _found(session: Session, job_id: str) -> Job:
    row = session.get(JobRow, job_id)
    if row is None:
        raise UnknownJob(job=job_id)
    return job_from(row, events.newest(session, [job_id]).get(job_id))


def _check_id(job_id: str) -> None:
    """Raise UnknownJob for an id that PostgreSQL cannot look up, such as one with NUL."""
    if not job_id.isprintable():
        raise UnknownJob(job=job_id)


def _sign_of_life(row: JobRow) -> float:
    return max(row.heartbeat or 0, row.created)
