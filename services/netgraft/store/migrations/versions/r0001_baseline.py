"""The schema of netgraft 0.2.

Databases of 0.1 and 0.2 do not say which revision they have: what they lack of this one is
made, and what they have is left alone. (0.1 lacks `shared_values` and `requests`.)
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    _recipes()
    _jobs()
    _conversations()
    op.create_table(
        "requests",
        sa.Column("rpc", sa.String(32), primary_key=True),
        sa.Column("caller", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("holder", sa.String(32), nullable=False),
        sa.Column("held_until", sa.Float, nullable=False),
        if_not_exists=True,
    )
    _index("ix_requests_created", "requests", "created")


def _recipes() -> None:
    op.create_table(
        "recipes",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("canonical", sa.Text, nullable=False),
        sa.Column("notices", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )
    _index("ix_recipes_parent_id", "recipes", "parent_id")
    op.create_table(
        "shared_values",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text, nullable=False),
        if_not_exists=True,
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("spec", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("started", sa.Float),
        sa.Column("ended", sa.Float),
        sa.Column("heartbeat", sa.Float),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("submission", sa.String(96)),
        sa.Column("cancel_asked", sa.Boolean, nullable=False),
        sa.Column("error_reason", sa.String(64)),
        sa.Column("error_message", sa.Text),
        sa.Column("result_model", sa.String(64)),
        sa.Column("metrics", sa.Text, nullable=False),
        if_not_exists=True,
    )
    _index("ix_jobs_state", "jobs", "state")
    _index("ix_jobs_created", "jobs", "created")
    op.create_table(
        "job_events",
        sa.Column("job_id", sa.String(64), sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        if_not_exists=True,
    )


def _conversations() -> None:
    op.create_table(
        "conversations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("model_id", sa.String(64)),
        sa.Column("job_id", sa.String(64)),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("updated", sa.Float, nullable=False),
        if_not_exists=True,
    )
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column(
            "conversation_id", sa.String(64), sa.ForeignKey("conversations.id"), nullable=False
        ),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("events", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.UniqueConstraint("conversation_id", "position"),
        if_not_exists=True,
    )
    _index("turns_by_conversation", "turns", "conversation_id", "position")
    op.create_table(
        "consents",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("plan_sha256", sa.String(64), nullable=False),
        sa.Column("conversation_id", sa.String(64), nullable=False),
        sa.Column("expires", sa.Float, nullable=False),
        sa.Column("used", sa.Float),
        if_not_exists=True,
    )


def _index(name: str, table: str, *columns: str) -> None:
    op.create_index(name, table, columns, if_not_exists=True)
