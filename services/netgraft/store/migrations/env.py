"""Alembic runs this file to get at the database: it takes the connection of `upgrade`."""

from alembic import context

from netgraft.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Table.metadata
)
# The caller began the transaction and ends it, with all revisions or none.
context.run_migrations()
