"""The schema of a database: a new one gets it, an older one is brought to it, a newer is refused.

A database that is up to date costs one small query. Everything else is done under a lock and in
one transaction, so that of several processes one does it and the others find it done, and one
that fails or dies leaves the database as it was.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text
from sqlalchemy import column as column_named
from sqlalchemy import table as table_named
from sqlalchemy.exc import DatabaseError

from netgraft import private
from netgraft.errors import NewerDatabase
from netgraft.store.tables import Table

REVISION = "0003"
"""The newest revision in `migrations`: the one that `tables` describes."""
UNNAMED = ""
"""The revision of a database of 0.1 or 0.2, which does not say."""

VERSION_TABLE = "alembic_version"
VERSIONS = table_named(VERSION_TABLE, column_named("version_num"))
OLDEST_TABLE = "recipes"
"""A table that every database of ours has."""

LOCK = 0x6E657467
""" "netg": the number by which processes lock PostgreSQL's schema against each other."""
PATIENCE_SECONDS = 600
"""How long a process waits for another to migrate SQLite's file."""


def prepare(engine: Engine) -> None:
    """Make a database's tables those of `tables`, where they are not. Raises NewerDatabase."""
    if _is_current(engine):
        return
    with engine.begin() as connection:
        _lock(connection)
        revision = _revision(connection)  # another process may have been faster
        if revision is None:
            _create(connection)
        elif revision != REVISION:
            _migrate(connection, revision)


def backup_path(database: str) -> Path:
    """The path of the copy that is made of SQLite's file before it is migrated to REVISION."""
    return Path(f"{database}.before-{REVISION}")


def _is_current(engine: Engine) -> bool:
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(select(VERSIONS.c.version_num)) == REVISION)
    except DatabaseError:  # most likely there is no such table; the slow way says what it is
        return False


def _revision(connection: Connection) -> str | None:
    """The revision of a database, UNNAMED for one of 0.1 or 0.2; None for one without tables."""
    tables = inspect(connection)
    if tables.has_table(VERSION_TABLE):
        return connection.scalar(select(VERSIONS.c.version_num)) or UNNAMED
    return UNNAMED if tables.has_table(OLDEST_TABLE) else None


def _lock(connection: Connection) -> None:
    """Let no other process change the schema until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        return
    waits = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql(f"PRAGMA busy_timeout={1000 * PATIENCE_SECONDS}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    connection.exec_driver_sql(f"PRAGMA busy_timeout={waits}")


def _create(connection: Connection) -> None:
    """All tables at once, which is faster than one revision after the other."""
    Table.metadata.create_all(connection)
    connection.execute(
        text(f"CREATE TABLE {VERSION_TABLE} (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    )
    connection.execute(insert(VERSIONS), [{"version_num": REVISION}])


def _migrate(connection: Connection, revision: str) -> None:
    """Bring a database of an older revision to REVISION. Raises NewerDatabase."""
    from netgraft.store import migrations

    if revision != UNNAMED and revision not in migrations.revisions():
        raise NewerDatabase(
            database=connection.engine.url.database, revision=revision, known=REVISION
        )
    if connection.dialect.name == "sqlite":
        _copy(connection.engine.url.database or "")
    migrations.upgrade(connection)


def _copy(database: str) -> None:
    """Copy SQLite's file, with what is in its log, to `backup_path`; for its owner alone."""
    if not Path(database).is_file():  # in memory
        return
    copy = backup_path(database)
    partial = private.make_file(copy.with_name(f"{copy.name}.part"))
    try:
        with closing(sqlite3.connect(database)) as old, closing(sqlite3.connect(partial)) as new:
            old.backup(new)
        partial.replace(copy)
    finally:
        partial.unlink(missing_ok=True)
