"""do, finetune and resume without a server: they start one for themselves, and end it."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.e2e.system import NETGRAFT, environment, processes_of, write_pictures

from netgraft.cli import failure
from netgraft.readiness import TENSORS

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]

STARTING = "Starting netgraft for this command…"
SERVING = health_pb2.HealthCheckResponse.SERVING
END_SECONDS = 10
LONG = ("--epochs", "5000", "--batch-size", "4", "--image-size", "32", "--workers", "1")


class Alone:
    """A state folder without a server, and the command line with it."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.folder = folder
        self.variables = environment(self.state, folder)
        self.started: list[subprocess.Popen[str]] = []
        write_pictures(folder / "colours", classes=2, each=8)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [NETGRAFT, *words],
            env=self.variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*words)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def model(self) -> str:
        words = ("retarget", "timm/test_resnet@none", "--classes", "2", "--json")
        return str(json.loads(self.run(*words).stdout)["model"]["id"])

    def state_of(self, job: str) -> str:
        return str(json.loads(self.run("status", job, "--json").stdout)["state"])

    def processes(self) -> list[str]:
        return [str(process) for process in processes_of(self.state)]

    def has_ended(self) -> None:
        """Fail unless nothing of it lives soon, and no server is announced."""
        deadline = time.monotonic() + END_SECONDS
        while left := self.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.05)
        assert not (self.state / "server.json").exists()


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Alone]:
    alone = Alone(tmp_path)
    yield alone
    for process in alone.started:  # those of a test that has failed
        process.terminate()
    alone.has_ended()


def tensors_at(address: str) -> int:
    """What the front answers when it is asked whether it still warms up."""
    with grpc.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        return int(check(health_pb2.HealthCheckRequest(service=TENSORS), timeout=10).status)


def read_until(process: "subprocess.Popen[str]", pattern: str) -> str:
    """Read what a command prints up to a line; return the first group of it."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[1]
    pytest.fail(f"no {pattern} in:\n{''.join(seen)}")


def test_a_sentence_that_trains_is_carried_out_without_a_server(alone: Alone) -> None:
    model = alone.model()
    done = alone.run("do", f"fine-tune {model} on ./colours for 1 epoch with 1 worker", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [STARTING]
    assert "✓ Training finished" in done.stdout
    alone.has_ended()


def test_ctrl_c_stops_the_job_of_ones_own_server_and_resume_continues_it(alone: Alone) -> None:
    first = alone.start("finetune", alone.model(), "--data", "colours", *LONG)
    job = read_until(first, r"^(tune-\S+) running")
    read_until(first, r"^step (\d+)/")
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == failure.INTERRUPTED
    assert said.splitlines() == [
        STARTING,
        f"Job {job} has stopped. `netgraft resume {job}` continues it.",
    ]
    alone.has_ended()
    assert alone.state_of(job) == "JOB_STATE_CANCELLED"

    second = alone.start("resume", job)  # follows it, because its server ends with it
    read_until(second, r"^(tune-\S+) running")
    step = int(read_until(second, r"^step (\d+)/"))
    second.kill()
    second.communicate()
    alone.has_ended()
    assert step >= 1
    assert alone.state_of(job) == "JOB_STATE_RUNNING"

    third = alone.start("resume", job)  # it goes on by itself with a server
    read_until(third, r"^(tune-\S+) running")
    third.send_signal(signal.SIGINT)
    _, said = third.communicate(timeout=60)
    assert f"`netgraft resume {job}`" in said
    assert alone.state_of(job) == "JOB_STATE_CANCELLED"


def test_an_up_that_is_starting_is_used(alone: Alone) -> None:
    up = alone.start("up", "--no-web")
    deadline = time.monotonic() + 60
    lock = alone.state / "up.lock"
    while not (lock.exists() and lock.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    done = alone.run("do", f"fine-tune {alone.model()} on ./colours for 1 epoch", "--yes")
    assert done.returncode == 0, done.stderr
    assert up.poll() is None
    assert tensors_at(json.loads((alone.state / "server.json").read_text())["address"]) == SERVING
    up.send_signal(signal.SIGINT)
    printed, _ = up.communicate(timeout=60)
    assert up.returncode == 0
    assert printed.startswith("gRPC ")
