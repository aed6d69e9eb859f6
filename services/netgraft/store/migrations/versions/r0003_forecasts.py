"""What a job was expected to take and reach, and what its parts took."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("forecast", sa.Text))
    op.add_column("jobs", sa.Column("timings", sa.Text))
