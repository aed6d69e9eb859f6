"""What `netgraft up` runs: what its processes have loaded, and how the command line finds it."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
import torch
from tests.e2e.system import NETGRAFT, System

pytestmark = pytest.mark.e2e


def run(system: System, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that is given no server."""
    return subprocess.run(
        [NETGRAFT, *words],
        env=system.environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_runs_is_announced_for_its_owner_only(system: System) -> None:
    file = system.state / "server.json"
    found = json.loads(file.read_text())
    assert (found["address"], found["web"], found["pid"]) == (system.grpc, system.web, system.pid)
    assert found["roots"] == [str(system.data.resolve())]
    assert file.stat().st_mode & 0o777 == 0o600
    assert system.token not in file.read_text()


def test_commands_use_what_runs(system: System, tmp_path: Path) -> None:
    shown = run(system, tmp_path, "show", "squeezenet1_1", "--weights", "none")
    assert f"{system.web}/viz/" in shown.stdout, shown.stderr
    assert run(system, tmp_path, "jobs", "--json").returncode == 0


def test_a_file_outside_the_data_roots_is_sent(system: System, tmp_path: Path) -> None:
    import torchvision

    torch.save(torchvision.models.squeezenet1_1(num_classes=4), tmp_path / "mine.pth")
    there = run(system, tmp_path, "retarget", "./mine.pth", "--classes", "3", "--json")
    here = run(system, tmp_path, "retarget", "./mine.pth", "--classes", "3", "--json", "--local")
    assert there.returncode == 0, there.stderr
    assert json.loads(there.stdout)["model"]["id"] == json.loads(here.stdout)["model"]["id"]


FORK_SERVER = "multiprocessing.forkserver"


def loaded(process: psutil.Process) -> set[str]:
    """The packages whose compiled parts a process has in its memory."""
    files = (Path(each.path) for each in process.memory_maps())
    packages = (
        file.parts[file.parts.index("site-packages") + 1]
        for file in files
        if "site-packages" in file.parts
    )
    return {name.partition(".")[0] for name in packages}


@pytest.mark.parametrize(
    ("command", "never"),
    [
        ("up", {"torch", "torchvision", "ray", "grpc"}),
        ("netgraft.app.front", {"torch", "torchvision", "ray"}),
        ("netgraft.ui", {"torch", "torchvision", "ray", "sqlalchemy"}),
    ],
)
def test_who_does_not_compute_has_no_torch(system: System, command: str, never: set[str]) -> None:
    up = psutil.Process(system.pid)
    [process] = [up] if command == "up" else system.processes(command)
    assert loaded(process) & never == set()


def test_who_computes_shares_it_with_a_fork_server_that_knows_nothing_else(system: System) -> None:
    [server] = [p for p in system.processes(FORK_SERVER) if p.ppid() == system.pid]
    assert "torch" in loaded(server)
    assert loaded(server) & {"grpc", "ray"} == set()
    assert system.state / "netgraft.db" not in [Path(file.path) for file in server.open_files()]
    workers = system.processes("netgraft-worker")
    assert [worker.ppid() for worker in workers] == [server.pid] * len(workers)
    assert workers
