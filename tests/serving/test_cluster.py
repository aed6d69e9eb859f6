"""The fork server of a node of Ray, and how runs are shared out, without a Ray."""

import os
import pickle
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.serving.cluster.forker import Forker
from netgraft.serving.cluster.machine import shared_out
from netgraft.serving.cluster.node import Node
from netgraft.serving.forks.forks import Task
from netgraft.serving.guard import Failure
from netgraft.serving.ray_patches import private_folder

MODULE = "netgraft.app.node"
SLEEP = Task("subprocess:run", {"args": ["sleep", "60"]})
WRONG = InvalidValue(name="layer", value="", expected=Message("the path of the head"))
PATIENCE = 60
"""Seconds that a busy machine may take for what an idle one does in two."""


@pytest.fixture(scope="module", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for the sockets."""
    folder = tmp_path_factory.mktemp("t")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        yield folder


@pytest.fixture(scope="module")
def raylet() -> Iterator[int]:
    """A process that stands where the node's raylet does: its end is all that is looked at."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()
    wait_for("the end of the fork server", lambda: not servers(process.pid))


@pytest.fixture
def node(raylet: int) -> Iterator[Node]:
    node = Node(MODULE, raylet)
    yield node
    node.leave()


def servers(raylet: int) -> list[psutil.Process]:
    """The processes of the node's fork server, the first one before its children."""
    return [each for first in leaders(raylet) for each in (first, *children(first))]


def leaders(raylet: int) -> list[psutil.Process]:
    """The node's fork servers. Each leads a group: their children have their command line, too,
    until they start a program of their own.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, ProcessLookupError):
            command = process.cmdline()
            mine = command[1:3] == ["-m", MODULE] and command[-1] == str(raylet)
            if mine and os.getpgid(process.pid) == process.pid:
                found.append(process)
    return found


def children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def wait_for(what: str, holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def test_a_fork_does_its_task_with_its_environment_and_log(node: Node, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    task = Task("subprocess:run", {"args": ["env"]}, log=log, environment={"NETGRAFT_WORKERS": "7"})
    assert node.fork(task).result()
    assert "NETGRAFT_WORKERS=7" in log.read_text().splitlines()


def test_a_fork_ends_when_its_link_is_closed(node: Node) -> None:
    fork = node.fork(SLEEP)
    assert lives(fork.pid)
    fork.link.close()
    wait_for("its end", lambda: not lives(fork.pid))


def test_the_death_of_the_fork_server_ends_no_fork_and_the_next_starts_another(
    node: Node, raylet: int
) -> None:
    fork = node.fork(SLEEP)
    first = servers(raylet)[0].pid
    os.kill(first, signal.SIGKILL)
    assert node.fork(Task("os:getpid")).result()
    assert first not in [process.pid for process in servers(raylet)]
    assert lives(fork.pid)
    fork.signal()


def test_of_those_that_find_none_one_starts_it(temporary: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as raylet:
        nodes = [Node(MODULE, raylet.pid) for _ in range(4)]
        threads = [threading.Thread(target=node.warm) for node in nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = len(leaders(raylet.pid))
        raylet.kill()
        assert found == 1
    wait_for("its end, with the raylet", lambda: not servers(raylet.pid))


def test_it_is_a_plain_process_that_only_its_user_reaches(node: Node, raylet: int) -> None:
    node.fork(Task("os:getpid")).result()
    first = servers(raylet)[0]
    loaded = {Path(each.path).name for each in first.memory_maps()}
    assert not [name for name in loaded if name.startswith(("libtorch", "_raylet", "cygrpc"))]
    assert os.getpgid(first.pid) == first.pid
    socket = private_folder() / f"node-{raylet}" / "forks"
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o777 == 0o700


def test_it_ends_when_nobody_has_needed_it_for_a_while(tmp_path: Path) -> None:
    serving = threading.Thread(target=Forker(()).serve, args=(tmp_path / "forks", 0.1))
    serving.start()
    serving.join(PATIENCE)
    assert not serving.is_alive()


def test_an_error_of_a_tensor_worker_reaches_serves_proxy() -> None:
    failure = pickle.loads(pickle.dumps(Failure.of(WRONG, "zh")))
    assert vars(failure) == vars(Failure.of(WRONG, "zh"))


@pytest.mark.parametrize(
    ("nodes", "ranks", "gpu", "expected"),
    [
        ([(2, 0)], 2, False, (1, False)),
        ([(2, 0)], 1, False, (2, False)),
        ([(0, 0), (8, 0), (4, 0)], 2, False, (4, False)),
        ([(1, 0), (1, 0)], 2, False, (1, True)),
        ([(0, 0), (4, 0), (4, 0)], 8, False, (1, True)),
        ([(4, 0), (4, 0)], 6, False, (1, True)),
        ([(8, 2), (8, 0)], 2, True, (1, False)),
        ([(8, 1), (8, 1)], 2, True, (1, True)),
    ],
)
def test_a_run_is_on_one_node_where_one_has_places_for_all_ranks(
    nodes: list[tuple[int, int]], ranks: int, gpu: bool, expected: tuple[int, bool]
) -> None:
    assert shared_out(nodes, ranks, gpu=gpu) == expected
