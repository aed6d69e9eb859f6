"""Columns for what was searched for in JSON, an owners table, and the open question.

The new columns of `recipes` are filled in from the canonical form, which all rows have.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BATCH = 500
"""Rows that are read and written at a time."""

RECIPES = sa.table(
    "recipes",
    sa.column("id", sa.String),
    sa.column("canonical", sa.Text),
    sa.column("base_source", sa.String),
    sa.column("base_name", sa.Text),
    sa.column("has_file", sa.Boolean),
    sa.column("last_op", sa.String),
)


def upgrade() -> None:
    for column in (
        sa.Column("base_source", sa.String(64), nullable=False, server_default=""),
        sa.Column("base_name", sa.Text, nullable=False, server_default=""),
        sa.Column("has_file", sa.Boolean, nullable=False, server_default=sa.false()),
        sa.Column("last_op", sa.String(64), nullable=False, server_default=""),
    ):
        op.add_column("recipes", column)
    _fill(op.get_bind())
    op.create_index("recipes_by_last_op", "recipes", ["last_op", "created"])
    op.create_table(
        "owners",
        sa.Column("owner", sa.String(255), primary_key=True),
        sa.Column("kind", sa.String(32), primary_key=True),
        sa.Column("id", sa.String(64), primary_key=True),
    )
    op.create_index("owners_by_thing", "owners", ["kind", "id"])
    op.add_column("conversations", sa.Column("question_turn", sa.Integer))
    op.add_column("turns", sa.Column("language", sa.String(16)))
    op.add_column("turns", sa.Column("question", sa.Text))


def _fill(connection: sa.Connection) -> None:
    """Read every recipe, in batches, and write what its columns are."""
    change = sa.update(RECIPES).where(RECIPES.c.id == sa.bindparam("row"))
    batch = sa.select(RECIPES.c.id, RECIPES.c.canonical).order_by(RECIPES.c.id).limit(BATCH)
    last = ""
    while rows := connection.execute(batch.where(RECIPES.c.id > last)).all():
        values = [{"row": row.id, **_columns(row.canonical)} for row in rows]
        connection.execute(change, values)
        last = rows[-1].id


def _columns(canonical: str) -> dict[str, Any]:
    """The new columns of a row, from its canonical form."""
    document = json.loads(canonical)
    base, edits = document["base"], document["edits"]
    return {
        "base_source": base["source"],
        "base_name": base["name"],
        "has_file": bool(base.get("file")),
        "last_op": edits[-1]["op"] if edits else "",
    }
