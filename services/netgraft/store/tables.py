"""The database's tables: the one schema that every slice reads and writes through.

What changes here needs a revision in `migrations` as well; a test compares the two.
"""

from sqlalchemy import Float, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Table(DeclarativeBase):
    """Times are seconds since the epoch, UTC."""


class RecipeRow(Table):
    """A stored recipe; `id` is its SHA-256.

    The columns after `canonical` repeat what it says, so that queries can ask for it.
    """

    __tablename__ = "recipes"
    __table_args__ = (Index("recipes_by_last_op", "last_op", "created"),)
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    parent_id: Mapped[str | None] = mapped_column(String(64), index=True)
    canonical: Mapped[str] = mapped_column(Text)
    """As `sharing` shortens it."""
    base_source: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """Where the base comes from, such as "timm"."""
    base_name: Mapped[str] = mapped_column(Text, default="", server_default="")
    has_file: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether the base takes something from a user's file."""
    last_op: Mapped[str] = mapped_column(String(64), default="", server_default="")
    """What the last edit is, such as "retarget"; empty: the recipe is a base."""
    notices: Mapped[str] = mapped_column(Text, default="")
    created: Mapped[float] = mapped_column(Float)


class SharedRow(Table):
    """A long value that several recipes have, such as a list of class names."""

    __tablename__ = "shared_values"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    body: Mapped[str] = mapped_column(Text)
    """The value, JSON."""


class OwnerRow(Table):
    """An owner of a thing. Ids are content hashes, so one thing may have several owners."""

    __tablename__ = "owners"
    __table_args__ = (Index("owners_by_thing", "kind", "id"),)
    owner: Mapped[str] = mapped_column(String(255), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    """What sort of thing `id` names, such as "recipe" or "job"."""
    id: Mapped[str] = mapped_column(String(64), primary_key=True)


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
    forecast: Mapped[str | None] = mapped_column(Text)
    """What the job was expected to take and reach, JSON; null in jobs older than this column."""
    timings: Mapped[str | None] = mapped_column(Text)
    """What the parts of a run that succeeded took, JSON, for forecasts of others."""


class JobEventRow(Table):
    """One durable event of a job; `seq` counts 1, 2, 3… within it."""

    __tablename__ = "job_events"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    body: Mapped[str] = mapped_column(Text)
    """The event, JSON."""
    created: Mapped[float] = mapped_column(Float)


class ConversationRow(Table):
    """The present subject of a conversation."""

    __tablename__ = "conversations"
    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    model_id: Mapped[str | None] = mapped_column(String(64))
    job_id: Mapped[str | None] = mapped_column(String(64))
    question_turn: Mapped[int | None] = mapped_column()
    """Position of the turn whose question is still open; null: no question is."""
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
    language: Mapped[str | None] = mapped_column(String(16))
    """The language of the reply, such as "zh"; null in turns older than this column."""
    question: Mapped[str | None] = mapped_column(Text)
    """The question that the reply asks, JSON; null: it asks none."""
    created: Mapped[float] = mapped_column(Float)


class ConsentRow(Table):
    """Consent to one plan in one conversation. The token itself is not stored."""

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
