"""The connection to the database: SQLite in a file of its owner's alone, or PostgreSQL."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import OperationalError

from netgraft import private
from netgraft.errors import DiskFull
from netgraft.errors.disk import says_full
from netgraft.store.schema import prepare

WAIT_SECONDS = 30
"""How long a writer waits for another."""


def connect(url: str) -> Engine:
    """A database whose tables are those of `tables`. Raises DiskFull and NewerDatabase."""
    engine = _engine(url)
    with full_disk_is_reported(engine):
        prepare(engine)
    return engine


@contextmanager
def full_disk_is_reported(engine: Engine) -> Iterator[None]:
    """Raise DiskFull where SQLite or PostgreSQL says that the disk is full."""
    try:
        yield
    except (OperationalError, sqlite3.OperationalError) as error:
        if "disk is full" in str(error) or says_full(error):
            raise DiskFull(folder=engine.url.database) from error
        raise


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True)
    _close_to_others(url)
    engine = create_engine(url, connect_args={"timeout": WAIT_SECONDS})

    @event.listens_for(engine, "connect")
    def _pragmas(connection, _record) -> None:  # type: ignore[no-untyped-def]
        # WAL: a watcher reads while a worker writes, and neither waits for the other.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _close_to_others(url: str) -> None:
    """Make SQLite's file for its owner alone; those beside it get the mode that it has."""
    name = make_url(url).database
    if not name or name == ":memory:" or not Path(name).parent.is_dir():
        return
    private.make_file(Path(name))
    for beside in (Path(f"{name}-wal"), Path(f"{name}-shm")):
        if beside.exists():
            private.close(beside)
