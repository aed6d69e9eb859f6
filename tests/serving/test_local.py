"""The rooms of the local engine, one by one: the claim to a state, children, health."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent import futures
from functools import partial
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from netgraft import app
from netgraft.errors import AddressInUse, AlreadyUp
from netgraft.serving.local import child
from netgraft.serving.local.child import Child
from netgraft.serving.local.probe import health_answers, page_answers


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# The claim to a state


@pytest.fixture
def port(state: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The port of an `up` in this state."""
    number = free()
    monkeypatch.setenv("NETGRAFT_GRPC_PORT", str(number))
    return number


HOLDING = """
import os, socket, subprocess, sys, time
from netgraft import app
with app.claimed(web=False):
    server = socket.create_server(("127.0.0.1", int(os.environ["NETGRAFT_GRPC_PORT"])))
    held = [server.fileno()]
    subprocess.Popen(["sleep", "1"], stdout=subprocess.DEVNULL, pass_fds=held)
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process that serves this state, with a child that outlives it for a moment."""
    with subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_state_is_served_by_one_at_a_time(
    port: int, state: Path, holder: "subprocess.Popen[bytes]"
) -> None:
    with pytest.raises(AlreadyUp) as raised, app.claimed(web=False):
        pytest.fail("it is claimed")
    assert raised.value.values == {
        "folder": state,
        "address": f"127.0.0.1:{port}",
        "pid": holder.pid,
    }


def test_what_one_that_died_has_left_is_waited_for(
    port: int, holder: "subprocess.Popen[bytes]"
) -> None:
    holder.kill()
    holder.wait()
    with pytest.raises(AddressInUse):
        app.check_ports(web=False)
    with app.claimed(web=False):
        app.check_ports(web=False)


def test_the_port_of_another_program_is_refused_at_once(port: int) -> None:
    with app.claimed(web=False):
        pass
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(AddressInUse), app.claimed():
        pytest.fail("its port is taken")
    assert time.monotonic() - began < app.LEFTOVER_SECONDS / 2


def test_the_claim_is_for_its_owner_only(port: int, state: Path) -> None:
    with app.claimed(web=False):
        assert (state / "up.lock").stat().st_mode & 0o777 == 0o600
        assert json.loads((state / "up.lock").read_text())["pid"] == os.getpid()
    assert (state / "up.lock").read_text() == ""


# Whether a server answers


@pytest.fixture
def healthy() -> Iterator[tuple[int, health.HealthServicer]]:
    """A gRPC server with the standard health service."""
    server = grpc.server(futures.ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port, servicer
    server.stop(None)


def test_health_is_what_a_server_says_of_itself(
    healthy: tuple[int, health.HealthServicer],
) -> None:
    port, servicer = healthy
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    assert health_answers("127.0.0.1", port, 5)
    assert health_answers("0.0.0.0", port, 5)  # as a server may bind
    servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert not health_answers("127.0.0.1", port, 5)


def test_who_does_not_answer_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
        port = silent.getsockname()[1]
        began = time.monotonic()
        assert not health_answers("127.0.0.1", port, 0.2)
        assert not page_answers(f"http://127.0.0.1:{port}", 0.2)
        assert time.monotonic() - began < 5
    assert not health_answers("127.0.0.1", port, 5)
    assert not page_answers(f"http://127.0.0.1:{port}", 5)


# Children


SERVER = """
from http.server import SimpleHTTPRequestHandler, test
test(SimpleHTTPRequestHandler, port={}, bind="127.0.0.1")
"""


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    """A child that serves a web page, of which the supervisor is easily impatient."""
    monkeypatch.chdir(tmp_path)
    for name, seconds in {"CHECK": 0.05, "ANSWER": 0.3, "SILENT": 0.5, "SOUND": 0.0}.items():
        monkeypatch.setattr(child, f"{name}_SECONDS", seconds)
    port = free()
    answers = partial(page_answers, f"http://127.0.0.1:{port}")
    command = (sys.executable, "-c", SERVER.format(port))
    started = Child("web", command, answers, ("NETGRAFT_WEB_PORT", port))
    assert started.answered.wait(60)
    yield started
    started.terminate()
    started.join(time.monotonic() + 10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_a_child_that_dies_or_hangs_is_started_again(web: Child, number: int) -> None:
    first = web.pid
    os.kill(first, number)
    deadline = time.monotonic() + 60
    while web.pid == first or not web.answers(5):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not web.failed.is_set()


def test_a_child_that_dies_before_it_answers_is_not_started_again(tmp_path: Path) -> None:
    said = tmp_path / "said"
    command = (sys.executable, "-c", f"open({str(said)!r}, 'a').write('.')")
    failing = Child("failing", command, lambda _: False, ("NETGRAFT_WEB_PORT", 1))
    assert failing.failed.wait(60)
    assert said.read_text() == "."


def test_a_child_that_keeps_dying_is_given_up(web: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "PAUSES", (0.0, 0.0))
    monkeypatch.setattr(child, "SOUND_SECONDS", 60.0)
    web.command = (sys.executable, "-c", "raise SystemExit(3)")
    os.kill(web.pid, signal.SIGKILL)
    assert web.failed.wait(60)
