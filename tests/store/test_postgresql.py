"""PostgreSQL: a new database, one of 0.2 that is migrated, and several processes at once.

The server runs for these tests alone, on a socket in a folder of its own. They are skipped where
PostgreSQL's programs or psycopg are missing (`apt install postgresql`, `pip install psycopg`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from netgraft.errors import NewerDatabase
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.naming import short_id
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.zoo import local
from netgraft.store import schema
from netgraft.store.store import Store
from netgraft.store.tables import Table

pytest.importorskip("psycopg")

STATE = Path(__file__).parent / "state-0.2"
EXPECTED: dict[str, Any] = json.loads((STATE / "expected.json").read_text())
SERVER_REFUSES_ROOT = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs, which Debian keeps out of PATH; "" without it."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    return shutil.which(name, path=os.pathsep.join(places)) or ""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a server without a database's name."""
    if not program("pg_ctl"):
        pytest.skip("PostgreSQL is not installed")
    with tempfile.TemporaryDirectory(prefix="netgraft-pg-") as folder:  # a socket's path is short
        if SERVER_REFUSES_ROOT:
            shutil.chown(folder, **SERVER_REFUSES_ROOT)
        data = f"{folder}/data"

        def run(*line: str) -> None:
            done = subprocess.run(
                line, cwd=folder, capture_output=True, text=True, check=False, **SERVER_REFUSES_ROOT
            )
            assert done.returncode == 0, done.stderr

        run(program("initdb"), "-D", data, "-U", "netgraft", "-A", "trust", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run(program("pg_ctl"), "-D", data, "-o", options, "-l", f"{folder}/log", "-w", "start")
        try:
            yield f"postgresql+psycopg://netgraft@/DATABASE?host={folder}"
        finally:
            run(program("pg_ctl"), "-D", data, "-m", "immediate", "stop")


@pytest.fixture
def url(server: str, request: pytest.FixtureRequest) -> str:
    """URL of an empty database."""
    name = re.sub(r"\W", "_", request.node.name.lower())[-40:]
    engine = create_engine(server.replace("DATABASE", "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    engine.dispose()
    return server.replace("DATABASE", name)


def order(statement: str) -> int:
    """Where a statement of SQLite's dump may stand: first what others refer to."""
    if statement.startswith("CREATE TABLE"):
        return 1 if "FOREIGN KEY" in statement else 0
    if statement.startswith("INSERT"):
        return 3 if re.search(r"INTO \"(job_events|turns)\"", statement) else 2
    return 4


def with_booleans(statement: str) -> str:
    """A statement with false for `cancel_asked`, where SQLite has a number."""
    is_job = statement.startswith('INSERT INTO "jobs"')
    return statement.replace(",0,NULL,NULL,", ",false,NULL,NULL,") if is_job else statement


@pytest.fixture
def old(url: str) -> str:
    """URL of a database with what 0.2 wrote."""
    script = re.sub(r"BEGIN TRANSACTION;|COMMIT;", "", (STATE / "netgraft.sql").read_text())
    statements = [part.strip() for part in re.split(r";\n(?=CREATE|INSERT|$)", script)]
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in sorted(filter(None, statements), key=order):
            connection.exec_driver_sql(with_booleans(statement))
    engine.dispose()
    return url


def differences(store: Store) -> list[Any]:
    """What the tables of a database have otherwise than the code says."""
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        return list(compare_metadata(context, Table.metadata))


def test_a_new_database_takes_recipes(url: str, tmp_path: Path) -> None:
    recipe = Recipe(Base("torchvision", "resnet18", None)).with_edit(SetLoss("mse"))
    for _ in range(2):
        store = Store(str(tmp_path), url)
        put_recipe(store, recipe)
        assert get_recipe(store, recipe.id[:12]) == recipe
        assert differences(store) == []
        store.engine.dispose()


def test_a_database_of_0_2_is_migrated(old: str, tmp_path: Path) -> None:
    store = Store(str(tmp_path), old)
    assert differences(store) == []
    assert {m: get_recipe(store, m).title for m in EXPECTED["recipes"]} == EXPECTED["recipes"]
    assert {e.name for e in local.entries(store)} == {short_id(m) for m in EXPECTED["own"]}
    store.engine.dispose()


def test_a_newer_database_is_refused_and_the_password_is_not_shown(
    old: str, tmp_path: Path
) -> None:
    Store(str(tmp_path), old).engine.dispose()
    engine = create_engine(old)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(NewerDatabase, match="9999") as raised:
        Store(str(tmp_path), old.replace("netgraft@", "netgraft:secret@"))
    assert "secret" not in str(raised.value)


OPEN = """
import sys
from netgraft.store.store import Store
print("ready", flush=True)
sys.stdin.readline()
Store(sys.argv[1], sys.argv[2]).engine.dispose()
"""


@pytest.mark.parametrize("empty", [True, False])
def test_processes_that_open_a_database_at_once_do_not_race(
    empty: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    line = [sys.executable, "-c", OPEN, str(tmp_path)]
    url = request.getfixturevalue("url" if empty else "old")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen([*line, url], text=True, **pipes) for _ in range(4)]  # type: ignore[call-overload]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate() for process in processes]
    assert [error for _, error in said if error] == []
    store = Store(str(tmp_path), url)
    assert differences(store) == []
    with store.engine.connect() as connection:
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    assert found == schema.REVISION
    store.engine.dispose()
