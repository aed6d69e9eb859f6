"""Commands find the netgraft that runs on this machine, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netgraft import running
from netgraft.cli import failure
from netgraft.running import announced, find
from netgraft.settings import settings

from .conftest import Run
from .server import serving

NOBODY = "127.0.0.1:9"


@pytest.fixture
def file(state: Path) -> Iterator[Path]:
    """The server.json of this process, which says that it serves where nobody answers."""
    with announced(NOBODY, "http://127.0.0.1:7860", "test"):
        yield state / "server.json"


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def test_a_server_writes_its_addresses_for_its_owner_only(file: Path) -> None:
    token = settings().make_token()
    shown = json.loads(file.read_text())
    assert (shown["address"], shown["pid"]) == (NOBODY, os.getpid())
    assert shown["roots"] == [str(Path.cwd().resolve())]
    assert file.stat().st_mode & 0o777 == 0o600
    assert token not in file.read_text()
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    found = find()
    assert found is not None
    assert found.address == NOBODY


def test_the_file_is_removed_when_the_server_ends(state: Path) -> None:
    with announced(NOBODY, "", "test"):
        assert find() is not None
    assert not (state / "server.json").exists()
    assert find() is None


def test_a_server_that_ends_keeps_the_file_of_a_later_one(file: Path) -> None:
    with announced("127.0.0.1:8", "", "test"):
        change(file, pid=1, started="another's")
    assert file.exists()


def test_a_killed_process_is_not_connected_to(state: Path) -> None:
    code = (
        "from netgraft.running import announced; import os, signal\n"
        f"with announced({NOBODY!r}, '', 'test'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (state / "server.json").exists()
    assert find() is None


def test_another_process_with_the_same_pid_is_not_connected_to(file: Path) -> None:
    change(file, started=json.loads(file.read_text())["started"] + "1")
    assert find() is None


def _link(file: Path) -> None:
    file.rename(file.with_name("aside"))
    file.symlink_to(file.with_name("aside"))


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


DOUBTFUL: dict[str, Callable[[Path], object]] = {
    "a link": _link,
    "a pipe": _pipe,
    "a file that others can write": lambda file: file.chmod(0o622),
    "another host": lambda file: change(file, address="198.51.100.7:9000"),
    "a name of another host": lambda file: change(file, address="127.0.0.1.example.org:9000"),
    "no port": lambda file: change(file, address="127.0.0.1"),
    "no JSON": lambda file: file.write_text("{"),
    "no object": lambda file: file.write_text("[]"),
    "a pid that is none": lambda file: change(file, pid="1"),
    "a pid below 1": lambda file: change(file, pid=-1),
    "roots that are none": lambda file: change(file, roots=[1]),
    "nothing of what is needed": lambda file: file.write_text("{}"),
    "more than a server says": lambda file: file.write_text(" " * 2**20 + file.read_text()),
}


@pytest.mark.parametrize("what", DOUBTFUL)
def test_a_file_that_no_server_of_ours_wrote_is_ignored(file: Path, what: str) -> None:
    DOUBTFUL[what](file)
    assert find() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_of_another_user_is_ignored(file: Path) -> None:
    os.chown(file, 65534, 65534)
    assert find() is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts processes of others")
def test_a_process_of_another_user_is_not_connected_to(file: Path) -> None:
    sleep = shutil.which("sleep") or "sleep"
    with subprocess.Popen([sleep, "60"], user=65534, cwd="/") as other:
        stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        change(file, pid=other.pid, started=f"{boot}/{stat[19]}")
        assert find() is None
        other.kill()


def test_a_server_on_every_address_is_connected_to_on_this_machine(state: Path) -> None:
    with announced("0.0.0.0:9000", "", "test"):
        found = find()
    assert found is not None
    assert found.address == "127.0.0.1:9000"


def test_commands_go_to_the_server_that_runs(run: Run, file: Path) -> None:
    for line in ("models resnet", "jobs", "plan hello", "inspect alexnet", "do undo"):
        result = run(*line.split())
        assert result.exit_code == failure.UNREACHABLE, result.output
        assert f"answers at {NOBODY}" in result.stderr


def test_local_means_this_process_even_while_a_server_runs(run: Run, file: Path) -> None:
    assert "resnet18" in run("models", "resnet", "--local").stdout
    assert "resnet18" in run("--local", "models", "resnet").stdout
    named = {"NETGRAFT_ADDRESS": NOBODY}
    assert "resnet18" in run("models", "resnet", "--local", env=named).stdout
    assert run("jobs", "--local").exit_code == 0


def test_a_named_server_takes_precedence_over_the_running_one(run: Run, file: Path) -> None:
    with serving() as address:
        assert "resnet18" in run("models", "resnet", "--server", address).stdout
        settings.cache_clear()
        named = {"NETGRAFT_ADDRESS": address}
        assert "resnet18" in run("models", "resnet", env=named).stdout
    settings.cache_clear()


@pytest.mark.parametrize(
    "words", [["models", "--local", "--server", NOBODY], ["--server", NOBODY, "models", "--local"]]
)
def test_local_and_server_exclude_each_other(run: Run, words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == failure.USAGE
    assert "Give either --local" in result.stderr


NEEDING = ["finetune resnet18 --data digits --detach", "watch tune-1", "cancel tune-1"]


@pytest.mark.parametrize("line", NEEDING)
def test_commands_whose_job_outlives_them_need_a_server(run: Run, state: Path, line: str) -> None:
    alone = run(*line.split())
    assert alone.exit_code == failure.UNREACHABLE
    assert "`netgraft up`" in alone.stderr
    assert "(NOT_RUNNING)" in alone.stderr
    assert run(*line.split(), "--local").exit_code == failure.USAGE


@pytest.mark.parametrize("line", ["finetune resnet18 --data digits", "resume tune-1"])
def test_commands_that_train_do_not_do_so_in_their_own_process(
    run: Run, state: Path, line: str
) -> None:
    refused = run(*line.split(), "--local")
    assert refused.exit_code == failure.USAGE
    assert "leave --local out" in refused.stderr


def test_a_server_of_another_version_is_not_used_and_that_is_reported(run: Run, file: Path) -> None:
    change(file, version="0.0.9")
    result = run("models", "resnet18", "--json")
    assert json.loads(result.stdout)["entries"][0]["name"] == "resnet18"
    assert result.stderr == (
        f"The netgraft at {NOBODY} is version 0.0.9, and this is {running.own_version()}. Restart "
        "`netgraft up` to use it. Working in this process.\n"
    )


def test_commands_that_train_report_a_server_of_another_version(run: Run, file: Path) -> None:
    change(file, version="0.0.9")
    result = run("finetune", "resnet18", "--data", "digits")
    assert result.exit_code == failure.UNREACHABLE
    assert "is version 0.0.9, and this is" in result.stderr
    assert "(OTHER_VERSION)" in result.stderr
    assert "NOT_RUNNING" not in result.stderr
