"""The revisions of the database's schema, and the step from an older one to the newest.

A revision is a file in `versions`. It is written by hand, names the revision that it follows,
keeps to what SQLite and PostgreSQL both do, and never changes once it was released. None goes
back: before SQLite's file is migrated it is copied (`schema`), and PostgreSQL has backups.
Alembic (https://alembic.sqlalchemy.org) is imported here only, so that a database that is up
to date opens without it.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

FOLDER = Path(__file__).parent


def revisions() -> set[str]:
    """Every revision that this netgraft knows."""
    scripts = ScriptDirectory.from_config(_config())
    return {script.revision for script in scripts.walk_revisions()}


def upgrade(connection: Connection) -> None:
    """Bring a database to the newest revision, in the transaction that `connection` is in."""
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    return config
