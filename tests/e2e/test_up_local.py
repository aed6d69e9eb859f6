"""How `netgraft up` starts, or says in one sentence why not."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.system import NETGRAFT, environment
from tests.e2e.up import PATIENCE, Up, running, using, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.serial]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("up"), torch_home_with_weights, "--no-web") as found:
        yield found


def run(variables: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command or (NETGRAFT, "up", "--no-web"),
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def left(state: Path) -> list[str]:
    """Commands of processes that use a state folder."""
    return [" ".join(each.cmdline()) for each in using(state)]


def test_twice_in_the_same_state_the_second_says_where_the_first_is(up: Up) -> None:
    system = up.system
    second = run(system.environment)
    assert second.returncode == 1
    assert second.stderr == (
        f"Error: netgraft runs already with the state in {system.state}: it answers at "
        f"{system.grpc} (process {up.process.pid}). Use that one, end it, or choose another "
        "folder with NETGRAFT_STATE=FOLDER. (ALREADY_UP)\n"
    )
    chinese = run({**system.environment, "LANG": "zh_CN.UTF-8"}).stderr
    assert f"地址为 {system.grpc}" in chinese


def test_a_front_that_cannot_start_ends_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "grpc_health"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('broken on purpose')")
    state = tmp_path / "state"
    variables = {**environment(state, tmp_path), "PYTHONPATH": str(tmp_path)}
    found = run(variables)
    log = state / "logs" / "up.log"
    assert found.returncode == 1
    assert found.stderr.splitlines()[1:] == [
        f"Error: netgraft did not start, or a part of it ended; see {log}. (CANNOT_START)"
    ]
    assert "broken on purpose" in log.read_text()
    assert log.read_text().count("front ended") == 1
    wait_for("the end of all", lambda: left(state) == [])


def test_a_port_that_is_taken_meanwhile_is_named(tmp_path: Path) -> None:
    state = tmp_path / "state"
    variables = environment(state, tmp_path)
    port = int(variables["NETGRAFT_GRPC_PORT"])
    with socket.create_server(("127.0.0.1", port)):  # after `claimed`, which is left out here
        found = run(variables, sys.executable, "-c", "from netgraft import app; app.up(web=False)")
    assert found.returncode == 1
    assert f"Port {port} is in use" in found.stderr.splitlines()[-1]
    wait_for("the end of all", lambda: left(state) == [])
