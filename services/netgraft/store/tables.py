"""The database's tables: the one schema that every slice reads and writes through."""

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """Times are seconds since the epoch, UTC."""


class RecipeRow(Table):
    """A stored recipe; `id` is its SHA-256."""

    __tablename__ = "recipes"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(String(64), index=True)
    canonical: Mapped[str] = mapped_column(Text)
    """As `sharing` shortens it."""
    notices: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[float] = mapped_column(Float)


class SharedRow(Table):
    """A long value that several recipes have, such as a list of class names."""

    __tablename__ = "shared_values"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    """The value, JSON."""


class JobRow(Table):
    """A tuning job. The row is durable before anything is submitted."""

    __tablename__ = "jobs"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    state: Mapped[str] = mapped_column(String(16), index=True)
    """ "queued", "running", "succeeded", "failed" or "cancelled"."""
    spec: Mapped[str] = mapped_column(Text)
    """The resolved specification, JSON."""
    created: Mapped[float] = mapped_column(Float, index=True)
    started: Mapped[float | None] = mapped_column(Float)
    ended: Mapped[float | None] = mapped_column(Float)
    heartbeat: Mapped[float | None] = mapped_column(Float)
    """When the run last showed that it lives."""
    attempt: Mapped[int] = mapped_column(default=1)
    submission: Mapped[str | None] = mapped_column(String(96))
    """Ray's submission id of the current attempt."""
    cancel_asked: Mapped[bool] = mapped_column(default=False)
    error_reason: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    result_model: Mapped[str | None] = mapped_column(String(64))
    metrics: Mapped[str] = mapped_column(Text, default="{}")


class JobEventRow(Table):
    """One durable event of a job; `seq` counts 1, 2, 3… within it."""

    __tablename__ = "job_events"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str] = mapped_column(Text)
    """The event, JSON."""
    created: Mapped[float] = mapped_column(Float)


class ConversationRow(Table):
    """What a conversation is about now."""

    __tablename__ = "conversations"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_id: Mapped[str | None] = mapped_column(String(64))
    job_id: Mapped[str | None] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(Float)
    updated: Mapped[float] = mapped_column(Float)


class TurnRow(Table):
    """One exchange of a conversation."""

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("conversation_id", "position"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id"))
    position: Mapped[int] = mapped_column()
    text: Mapped[str] = mapped_column(Text)
    reply: Mapped[str] = mapped_column(Text)
    """The planner's reply, JSON (PlannerReply)."""
    events: Mapped[str] = mapped_column(Text, default="[]")
    """What happened, a JSON list (RunEvent, without progress)."""
    created: Mapped[float] = mapped_column(Float)


class ConsentRow(Table):
    """Leave for one plan in one conversation. The token itself is not stored."""

    __tablename__ = "consents"
    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    plan_sha256: Mapped[str] = mapped_column(String(64))
    conversation_id: Mapped[str] = mapped_column(String(64))
    expires: Mapped[float] = mapped_column(Float)
    used: Mapped[float | None] = mapped_column(Float)


class RequestRow(Table):
    """A call that had a request_id (AIP-155). Removed after a day."""

    __tablename__ = "requests"
    rpc: Mapped[str] = mapped_column(String(32), primary_key=True)
    caller: Mapped[str] = mapped_column(String(64), primary_key=True)
    """SHA-256 of the caller's token."""
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(String(64))
    """SHA-256 of the request without its id."""
    created: Mapped[float] = mapped_column(Float, index=True)
    result: Mapped[str] = mapped_column(Text, default="")
    """What the call made: a job's id; of a Run where it began, JSON; else empty."""
    events: Mapped[str] = mapped_column(Text, default="[]")
    """What happened in a Run so far, a JSON list (RunEvent, without progress)."""
    holder: Mapped[str] = mapped_column(String(32), default="")
    """Who carries a Run out now, a random name; empty: nobody."""
    held_until: Mapped[float] = mapped_column(Float, default=0.0)
    """When the holder counts as lost unless it says more."""


Index("turns_by_conversation", TurnRow.conversation_id, TurnRow.position)
