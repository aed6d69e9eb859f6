"""The durable facts about a job, numbered 1, 2, 3… without a gap.

Kept as JSON in `JobEventRow`. Knows no torch, no Ray and no protobuf.
"""

import json
import time
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from netgraft.language import from_plain, to_plain
from netgraft.store.tables import JobEventRow


class Kind(StrEnum):
    """The kinds of events, as in `tuning.proto`."""

    STATE = "state"
    STEP = "step"
    EPOCH = "epoch"
    NOTE = "note"
    CHECKPOINT = "checkpoint"
    MODEL = "model"


@dataclass(frozen=True)
class Event:
    """One fact. `seq` is 0 until it is stored; times are seconds since the epoch."""

    kind: Kind
    time: float = field(default_factory=time.time)
    seq: int = 0
    attempt: int = 0
    state: str = ""
    step: int = 0
    total_steps: int = 0
    epoch: int = 0
    total_epochs: int = 0
    loss: float = 0.0
    lr: float = 0.0
    images_per_second: float = 0.0
    eta_seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""
    model: str = ""
    finding: dict[str, Any] = field(default_factory=dict)
    """What is wrong with the data, in a note: its "kind", "severity" and "files"."""
    data_wait: float = 0.0
    """Share of recent time that was spent waiting for data."""
    memory_bytes: int = 0
    gpu_memory_bytes: int = 0

    def body(self) -> str:
        """JSON without what is unset and what the row has in columns."""
        left_out = {"seq", "time"}
        facts = {k: v for k, v in asdict(self).items() if v and k not in left_out}
        if self.message:
            facts["message"] = to_plain(self.message)
        return json.dumps(facts, ensure_ascii=False)


def from_row(row: JobEventRow) -> Event:
    """The event that a row holds."""
    facts: dict[str, Any] = json.loads(row.body)
    facts["message"] = from_plain(facts.get("message", ""))
    return Event(kind=Kind(facts.pop("kind")), time=row.created, seq=row.seq, **facts)


def append(session: Session, job_id: str, event: Event) -> Event:
    """Store an event with the next number.

    The session must have written the job's row before: that lock is what makes numbers
    gapless when several processes append (on SQLite a write locks the database, on
    PostgreSQL the row).
    """
    highest = select(func.max(JobEventRow.seq)).where(JobEventRow.job_id == job_id)
    stored = replace(event, seq=(session.scalar(highest) or 0) + 1)
    session.add(JobEventRow(job_id=job_id, seq=stored.seq, body=stored.body(), created=stored.time))
    session.flush()
    return stored


def after(session: Session, job_id: str, seq: int, limit: int = 500) -> list[Event]:
    """Events with a number above `seq`, in order."""
    query = (
        select(JobEventRow)
        .where(JobEventRow.job_id == job_id, JobEventRow.seq > seq)
        .order_by(JobEventRow.seq)
        .limit(limit)
    )
    return [from_row(row) for row in session.scalars(query)]


def newest(session: Session, job_ids: list[str]) -> dict[str, Event]:
    """The newest event of each job."""
    highest = (
        select(JobEventRow.job_id, func.max(JobEventRow.seq).label("seq"))
        .where(JobEventRow.job_id.in_(job_ids))
        .group_by(JobEventRow.job_id)
        .subquery()
    )
    query = select(JobEventRow).join(
        highest, (JobEventRow.job_id == highest.c.job_id) & (JobEventRow.seq == highest.c.seq)
    )
    return {row.job_id: from_row(row) for row in session.scalars(query)}
