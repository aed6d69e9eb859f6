"""On Ray, whatever is killed: calls are answered again, runs go on, no event is missed or doubled.

One netgraft goes through all of it (test_engines.py has called its rpcs before), with two jobs: one
trains, the other waits for its cores. The tests stand in the order in which they happen.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from tests.e2e import strangers
from tests.e2e.system import digits_spec, wait_for
from tests.e2e.up import Up, running_on_ray

from netgraft.client import Client
from netgraft.errors import NetgraftError
from netgraft.serving.forks.ranks import RANK
from netgraft.serving.ray_patches import private_folder
from netgraft.v1 import models_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [pytest.mark.e2e, pytest.mark.serial, pytest.mark.timed, pytest.mark.timeout(600)]

ALIVE = (
    tuning_pb2.JOB_STATE_QUEUED,
    tuning_pb2.JOB_STATE_PREPARING,
    tuning_pb2.JOB_STATE_RUNNING,
)
TINY = "timm/test_resnet@none"
SHORT, MEDIUM, ENDLESS = 1, 5, 10_000
"""Epochs: of the run that waits, of the one that loses its Ray and ends, of the one that is in the
way of both."""
REPLICA = "ray::ServeReplica:"
RUN = "ray::Run."


@pytest.fixture(scope="module")
def netgraft(on_ray: Up) -> Up:
    return on_ray


def kill(netgraft: Up, *words: str) -> None:
    """Kill the processes with such a command."""
    found = netgraft.system.processes(*words)
    assert found, words
    for process in found:
        process.kill()


class Watcher:
    """Follows a job through everything that happens, from where it was interrupted."""

    def __init__(self, netgraft: Up, job: str) -> None:
        self.netgraft = netgraft
        self.job = job
        self.seen: list[JobEvent] = []
        self.over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def numbers(self) -> list[int]:
        return [event.seq for event in self.seen]

    def _watch(self) -> None:
        while not self.over.is_set():
            last = self.seen[-1].seq if self.seen else 0
            request = tuning_pb2.WatchJobRequest(id=self.job, after_seq=last)
            try:
                with self.netgraft.system.client() as client:
                    self.seen += client.tuning.WatchJob(request)
                    self.over.set()
            except NetgraftError:
                time.sleep(0.2)


@pytest.fixture(scope="module")
def watchers(netgraft: Up) -> list[Watcher]:
    return watched(netgraft)


def watched(netgraft: Up) -> list[Watcher]:
    """A job that trains and one that waits for it, watched."""
    with netgraft.system.client() as client:
        long, short = start(client, ENDLESS), start(client, SHORT)
    found = [Watcher(netgraft, job) for job in (long, short)]
    wait_for("a step", lambda: any(event.step for event in found[0].seen))
    return found


def start(client: Client, epochs: int) -> str:
    retargeted = surgery_pb2.RetargetModelRequest(model=TINY, classes=10)
    model = client.surgery.RetargetModel(retargeted).model.id
    spec = digits_spec(model, epochs)
    started: str = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id
    return started


def job_of(netgraft: Up, watcher: Watcher) -> tuning_pb2.Job:
    with netgraft.system.client() as client:
        return client.tuning.GetJob(tuning_pb2.GetJobRequest(id=watcher.job))


def seconds_to_an_answer(netgraft: Up, call: Callable[[Client], object]) -> float:
    """Until a call succeeds, each try with a connection and a deadline of its own."""

    def answers() -> bool:
        try:
            with netgraft.system.client() as client:
                call(client)
        except NetgraftError:
            return False
        return True

    return wait_for("an answer", answers)


def resolve(client: Client) -> object:
    request = models_pb2.ResolveModelRequest(model="resnet18@none")
    return client.models.ResolveModel(request, timeout=5)


def retarget(client: Client) -> object:
    request = surgery_pb2.RetargetModelRequest(model=TINY, classes=7)
    return client.surgery.RetargetModel(request, timeout=20)


def list_jobs(client: Client) -> object:
    return client.tuning.ListJobs(tuning_pb2.ListJobsRequest(), timeout=5)


def test_strangers_are_turned_away_as_on_the_local_engine(netgraft: Up) -> None:
    token, before = netgraft.system.token, ray_log_bytes(netgraft)
    with strangers.opened(netgraft.system.grpc) as channel:
        calls = strangers.call_all(channel, 3)
        with httpx.Client(trust_env=False) as web:
            for path in ("/models", "/agent/x", "/nothing"):
                address = f"http://127.0.0.1:{serve_http_port(netgraft)}{path}"
                assert web.get(address).status_code == 404
        time.sleep(1)  # Serve writes in its own time
        assert ray_log_bytes(netgraft) - before < 10 * calls, "a traceback is ten thousand bytes"
        for method in strangers.METHODS:
            strangers.refused_without_the_token(channel, method)
            strangers.refused_in_another_application(channel, method, token)
            strangers.refused_as_no_message(channel, method, token)
        for known in (token, ""):
            strangers.refused_by_its_size(channel, known)
        strangers.refused_before_a_stream_is_read(channel)
        strangers.refused_as_too_large_a_part(channel, token)


def ray_log_bytes(netgraft: Up) -> int:
    """Size of what Serve's processes have logged."""
    [driver] = netgraft.system.processes("netgraft.app.cluster")
    [session] = (private_folder() / "ray").glob(f"session_*_{driver.pid}")
    kinds = ("replica", "proxy", "worker")
    files = [file for file in session.rglob("logs/**/*") if file.name.startswith(kinds)]
    assert files
    return sum(file.stat().st_size for file in files)


def serve_http_port(netgraft: Up) -> int:
    """The port of Serve's HTTP proxy."""
    [proxy] = netgraft.system.processes("ray::ProxyActor")
    listening = [each for each in proxy.net_connections("tcp") if each.status == "LISTEN"]
    [port] = [each.laddr.port for each in listening if each.laddr.ip == "127.0.0.1"]
    return int(port)


def test_what_is_written_is_closed_to_the_machines_other_users(netgraft: Up) -> None:
    token = Path.home() / ".ray" / "auth_token"
    written = [token, private_folder(), *netgraft.system.state.rglob("*")]
    assert [path for path in written if path.lstat().st_mode & 0o077] == []


@dataclass(frozen=True)
class Served:
    """A process of Ray's that serves, and that Ray brings back."""

    command: str
    call: Callable[[Client], object]
    """What needs it."""
    seconds: float
    """How long the call may fail, twice what an idle machine needs."""


SERVED = {
    "replica": Served(f"{REPLICA}tuning", list_jobs, 20),
    "replica with torch": Served(f"{REPLICA}surgery", retarget, 30),
    "controller": Served("ray::ServeController", resolve, 4),
    "proxy": Served("ray::ProxyActor", resolve, 16),
}


def lose_what_serves(netgraft: Up, watchers: list[Watcher], served: Served) -> None:
    attempt, before = job_of(netgraft, watchers[0]).attempt, len(watchers[0].seen)
    kill(netgraft, served.command)
    assert seconds_to_an_answer(netgraft, served.call) < served.seconds
    wait_for("progress", lambda: len(watchers[0].seen) > before + 2)
    assert job_of(netgraft, watchers[0]).attempt == attempt


def lose_the_actor_of_a_run(netgraft: Up, long: Watcher) -> None:
    attempt = job_of(netgraft, long).attempt
    wait_for("a checkpoint", lambda: checkpoints(long, attempt))
    [actor] = netgraft.system.processes(RUN)
    ranks = ranks_of(netgraft)
    assert ranks
    actor.kill()
    wait_for("the end of its ranks", lambda: not alive(ranks), 10)
    wait_for("its next attempt", lambda: steps(long, attempt + 1))
    assert min(steps(long, attempt + 1)) > max(checkpoints(long, attempt))
    assert len(netgraft.system.processes(RUN)) == 1


def lose_a_part(netgraft: Up, long: Watcher, part: str) -> None:
    attempt = job_of(netgraft, long).attempt
    # A third loss without a new checkpoint would end the job.
    wait_for("a checkpoint", lambda: checkpoints(long, attempt))
    up = netgraft.process
    kill(netgraft, f"/{part} ")
    ended = wait_for("the end of up", lambda: up.poll() is not None)
    assert ended < 15
    assert up.returncode != 0
    assert up.stdout
    assert f"Ray's {part} has ended" in up.stdout.read()
    assert netgraft.system.processes() == []
    netgraft.start()
    wait_for("the next attempt", lambda: steps(long, attempt + 1))


def lose_up(netgraft: Up) -> None:
    netgraft.process.kill()
    wait_for("the end of all", lambda: not netgraft.system.processes(), 5)


@pytest.mark.parametrize("served", SERVED)
def test_what_serves_comes_back_and_runs_go_on(
    netgraft: Up, watchers: list[Watcher], served: str
) -> None:
    lose_what_serves(netgraft, watchers, SERVED[served])


def test_a_run_whose_actor_is_killed_goes_on(netgraft: Up, watchers: list[Watcher]) -> None:
    lose_the_actor_of_a_run(netgraft, watchers[0])


def test_all_ends_with_a_part_that_ray_does_not_bring_back(
    netgraft: Up, watchers: list[Watcher]
) -> None:
    with netgraft.system.client() as client:
        client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=watchers[0].job))
        watchers.append(Watcher(netgraft, start(client, MEDIUM)))
    wait_for("a checkpoint", lambda: checkpoints(watchers[-1], attempt=1))
    lose_a_part(netgraft, watchers[-1], "raylet")
    assert min(steps(watchers[-1], attempt=2)) > max(checkpoints(watchers[-1], attempt=1))


def test_the_jobs_end_well_and_no_event_is_missed_or_doubled(
    netgraft: Up, watchers: list[Watcher]
) -> None:
    for watcher in watchers:
        wait_for("the end", watcher.over.is_set)
        assert watcher.numbers == list(range(1, job_of(netgraft, watcher).last_event.seq + 1))
    ended = [job_of(netgraft, watcher).state for watcher in watchers]
    succeeded = tuning_pb2.JOB_STATE_SUCCEEDED
    assert ended == [tuning_pb2.JOB_STATE_CANCELLED, succeeded, succeeded]
    wait_for("the end of their actors", lambda: not netgraft.system.processes(RUN), 10)


def test_nothing_lives_five_seconds_after_up_was_killed(netgraft: Up) -> None:
    lose_up(netgraft)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_of_each(tmp_path: Path, torch_home_with_weights: Path) -> None:
    with running_on_ray(tmp_path, torch_home_with_weights) as netgraft:
        watchers = watched(netgraft)
        for _ in range(10):
            for served in SERVED.values():
                lose_what_serves(netgraft, watchers, served)
            lose_the_actor_of_a_run(netgraft, watchers[0])
            for part in ("raylet", "gcs_server"):
                lose_a_part(netgraft, watchers[0], part)
            attempt = job_of(netgraft, watchers[0]).attempt
            wait_for("a checkpoint", lambda: checkpoints(watchers[0], attempt))  # noqa: B023
            lose_up(netgraft)
            netgraft.start()
            wait_for("the next attempt", lambda: steps(watchers[0], attempt + 1))  # noqa: B023
        with netgraft.system.client() as client:
            client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=watchers[0].job))
        for watcher in watchers:
            wait_for("the end", watcher.over.is_set)
            assert watcher.numbers == list(range(1, len(watcher.numbers) + 1))


def steps(watcher: Watcher, attempt: int) -> list[int]:
    return [e.step for e in watcher.seen if e.attempt == attempt and e.kind == JobEvent.KIND_STEP]


def checkpoints(watcher: Watcher, attempt: int) -> list[int]:
    kind = JobEvent.KIND_CHECKPOINT
    return [e.step for e in watcher.seen if e.attempt == attempt and e.kind == kind]


def ranks_of(netgraft: Up) -> list[int]:
    return [each.pid for each in netgraft.system.processes() if each.name() == RANK]


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if Path(f"/proc/{pid}").exists()]
