"""Databases of every version open, with all that is in them; a newer one is refused.

`state-0.2` was written on 2026-11-28 by the code of netgraft 0.2 itself, as `state-0.1` was by
that of 0.1: models (edited, tuned, of a file), jobs, a conversation, a grant and a request.
"""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Connection, create_engine, text

from netgraft.agent.conversation import Conversations
from netgraft.agent.planner import Context
from netgraft.cli import main
from netgraft.errors import NewerDatabase
from netgraft.models import naming
from netgraft.models.recipes import get_recipe
from netgraft.models.zoo import local
from netgraft.store import migrations, schema
from netgraft.store.requests import Asked, Requests, claim
from netgraft.store.store import Store
from netgraft.store.tables import Table
from netgraft.tuning.jobs.jobs import Jobs

HERE = Path(__file__).parent
EXPECTED: dict[str, Any] = json.loads((HERE / "state-0.2/expected.json").read_text())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A database of 0.2."""
    path = tmp_path / "netgraft.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript((HERE / "state-0.2/netgraft.sql").read_text())
    return path


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A database of 0.1."""
    return Path(shutil.copy(HERE / "state-0.1/netgraft.db", tmp_path / "older.db"))


def opened(path: Path) -> Store:
    return Store(str(path.parent / "store"), f"sqlite:///{path}")


@pytest.fixture
def store(old: Path) -> Iterator[Store]:
    store = opened(old)
    yield store
    store.engine.dispose()


def contents(path: Path) -> list[str]:
    """All that is in a database, as SQL."""
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


def revision(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        (found,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(found)


def described(connection: Connection) -> dict[str, Any]:
    """Columns, indexes and foreign keys by table, in no order."""
    found: dict[str, Any] = {}
    for table in Table.metadata.tables:
        for pragma in ("table_info", "index_list", "foreign_key_list"):
            rows = connection.exec_driver_sql(f"PRAGMA {pragma}({table})").all()
            found[f"{pragma} {table}"] = {tuple(row)[1:] for row in rows}
    return found


# What was there


def test_models_of_0_2_keep_their_ids_and_what_they_are(store: Store) -> None:
    found = {model: get_recipe(store, model) for model in EXPECTED["recipes"]}
    assert {model: recipe.id for model, recipe in found.items()} == {m: m for m in found}
    assert {model: recipe.title for model, recipe in found.items()} == EXPECTED["recipes"]
    for model, parent in EXPECTED["parents"].items():
        assert store.get_row(model).parent_id == parent
    for model, names in EXPECTED["class_names"].items():
        assert list(found[model].class_names) == names


def test_own_models_of_0_2_are_listed(store: Store) -> None:
    assert {entry.name for entry in local.entries(store)} == {
        model[: naming.ID_DIGITS] for model in EXPECTED["own"]
    }


def test_jobs_of_0_2_keep_their_state_events_and_results(store: Store) -> None:
    jobs = Jobs(store)
    assert {job.id: str(job.state) for job in jobs.newest()} == EXPECTED["jobs"]
    for job, bodies in EXPECTED["events"].items():
        assert [event.body() for event in jobs.events_after(job, 0)[1]] == bodies
    for job, model in EXPECTED["result"].items():
        assert jobs.get(job).result_model == model


def test_conversations_of_0_2_go_on(store: Store) -> None:
    expected, talk = EXPECTED["conversation"], Conversations(store)
    turns = talk.turns(expected["id"])
    assert [turn.text for turn in turns] == expected["turns"]
    assert turns[0].events == ({"finished": {"summary": "Here it is."}},)
    assert list(talk.current(expected["id"])) == expected["current"]
    assert talk.say(expected["id"], "thanks", {"kind": "plan", "steps": []}, Context()) == 3


def test_a_database_of_before_requests_were_kept_takes_them(older: Path) -> None:
    store = opened(older)
    call = Asked("StartTuning", "caller", "id", "body")
    with store.session() as session:
        claim(session, call, "tune-1")
    assert Requests(store).result(call) == "tune-1"
    store.engine.dispose()


# The schema


def test_a_new_database_and_a_migrated_one_have_the_same_schema(
    old: Path, older: Path, tmp_path: Path
) -> None:
    found = []
    for path in (tmp_path / "new.db", old, older):
        store = opened(path)
        with store.engine.connect() as connection:
            found.append(described(connection))
        store.engine.dispose()
        assert revision(path) == schema.REVISION
    assert found[1] == found[0]
    assert found[2] == found[0]


def test_the_tables_are_those_of_the_newest_revision(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'db'}")
    with engine.begin() as connection:
        migrations.upgrade(connection)
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    engine.dispose()
    assert found == schema.REVISION == max(migrations.revisions())


# The copy


def test_before_a_migration_the_file_is_copied_with_its_log(old: Path) -> None:
    before = contents(old)
    with closing(sqlite3.connect(old)) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute("UPDATE conversations SET model_id = 'in the log'")
        writer.commit()
        assert Path(f"{old}-wal").stat().st_size > 0
        opened(old).engine.dispose()
    copy = schema.backup_path(str(old))
    assert copy.name == f"netgraft.db.before-{schema.REVISION}"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not list(old.parent.glob("*.part"))
    changed = [line for line in contents(copy) if line not in before]
    assert [line for line in changed if "in the log" not in line] == []
    assert len(changed) == 1


def test_the_copy_put_back_opens_again(old: Path) -> None:
    opened(old).engine.dispose()
    schema.backup_path(str(old)).replace(old)
    store = opened(old)
    assert all(get_recipe(store, model).id == model for model in EXPECTED["recipes"])
    store.engine.dispose()


def test_a_new_database_and_one_that_is_up_to_date_are_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        opened(tmp_path / "new.db").engine.dispose()
    assert not schema.backup_path(str(tmp_path / "new.db")).exists()


# What must not be opened, and what goes wrong


def test_a_newer_database_is_refused_and_left_as_it_is(old: Path) -> None:
    opened(old).engine.dispose()
    schema.backup_path(str(old)).unlink()
    with closing(sqlite3.connect(old)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    before = contents(old)
    with pytest.raises(NewerDatabase, match=r"netgraft\.db .* 9999.*pip install -U netgraft"):
        opened(old)
    assert contents(old) == before
    assert not schema.backup_path(str(old)).exists()


@pytest.mark.parametrize("command", ["jobs", "up"])
def test_a_command_says_in_a_sentence_what_to_do_with_a_newer_database(
    command: str, old: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(old).engine.dispose()
    with closing(sqlite3.connect(old)) as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.commit()
    state.mkdir()
    old.rename(state / "netgraft.db")
    for name in ("NETGRAFT_GRPC_PORT", "NETGRAFT_WEB_PORT"):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            monkeypatch.setenv(name, str(probe.getsockname()[1]))
    done = CliRunner().invoke(main, [command], prog_name="netgraft")
    assert done.exit_code == 1
    assert "pip install -U netgraft" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_migration_that_fails_leaves_the_database_as_it_was(old: Path) -> None:
    with closing(sqlite3.connect(old)) as database:
        sound = database.execute("SELECT max(id), canonical FROM recipes").fetchone()
        # The last row that is read, after columns were added and others were filled.
        database.execute("UPDATE recipes SET canonical = '{}' WHERE id = ?", sound[:1])
        database.commit()
    before = contents(old)
    with pytest.raises(KeyError):
        opened(old)
    assert contents(old) == before
    with closing(sqlite3.connect(old)) as database:
        database.execute("UPDATE recipes SET canonical = ? WHERE id = ?", sound[::-1])
        database.commit()
    opened(old).engine.dispose()
    assert revision(old) == schema.REVISION


AT_ONCE = """
import multiprocessing, sys
from netgraft.store.store import Store

def open_store():
    ready.wait()
    store = Store(folder, url)
    if model:
        sys.stdout.write(f"{len(store.get_row(model).last_op)}\\n")
    store.engine.dispose()

folder, url, model = sys.argv[1:]
forked = multiprocessing.get_context("fork")
ready = forked.Barrier(4)
processes = [forked.Process(target=open_store) for _ in range(4)]
for process in processes:
    process.start()
for process in processes:
    process.join()
sys.exit(max(abs(process.exitcode) for process in processes))
"""
"""Four processes that have imported everything, and then open a database together."""
OPEN = """
import sys
from netgraft.store.store import Store
for url in sys.argv[2:]:
    Store(sys.argv[1], url).engine.dispose()
print("alembic" in sys.modules)
"""


@pytest.mark.parametrize("model", ["", next(iter(EXPECTED["parents"]))])
def test_processes_that_open_a_database_at_once_do_not_race(
    model: str, old: Path, tmp_path: Path
) -> None:
    path = old if model else tmp_path / "new.db"
    line = [sys.executable, "-c", AT_ONCE, str(tmp_path / "store"), f"sqlite:///{path}", model]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split() == ["5"] * (4 if model else 0)
    assert revision(path) == schema.REVISION


def test_a_database_that_is_up_to_date_opens_without_alembic(old: Path, tmp_path: Path) -> None:
    opened(old).engine.dispose()
    urls = [f"sqlite:///{path}" for path in (old, tmp_path / "new.db")]
    line = [sys.executable, "-c", OPEN, str(tmp_path), *urls]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
