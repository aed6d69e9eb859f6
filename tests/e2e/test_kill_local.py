"""The local engine loses one process after the other while it trains, and three clients watch.

One `netgraft up` goes through all of it, with a job that runs and one that waits for its places.
"""

import asyncio
import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from tests.e2e.system import NETGRAFT, System, digits_spec
from tests.e2e.up import PATIENCE, Up, lives, running, wait_for

from netgraft.client import AsyncClient, RemoteError
from netgraft.errors import Unreachable, WorkerLost
from netgraft.serving.local import control
from netgraft.tuning.jobs import jobs as durable
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import State
from netgraft.ui.backend import Backend
from netgraft.ui.job import Jobs
from netgraft.v1 import models_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [pytest.mark.e2e, pytest.mark.serial, pytest.mark.timed, pytest.mark.timeout(900)]

BACK_SECONDS = {"front": 10.0, "page": 15.0, "worker": 8.0, "fork server": 5.0, "rank": 5.0}
"""Within which an answer comes when a process was killed: five on a machine that does nothing else
(tests/bench/bench_kills.py), and what others add that compute beside it: a front takes 1 CPU second
until it answers, the page 3, nearly all of it the import of Gradio."""
GONE_SECONDS, END_SECONDS, CANCEL_SECONDS = 5.0, 11.0, 2.5
MODEL = "timm/test_resnet@none"
LOST = tuple(BACK_SECONDS)


class Program(threading.Thread):
    """A program that watches a job with the Python client."""

    def __init__(self, system: System, job: str) -> None:
        super().__init__(daemon=True)
        self.system, self.job = system, job
        self.events: list[JobEvent] = []
        self.broken = 0
        """How often its stream ended before the job did."""
        self.start()

    def run(self) -> None:
        with self.system.client() as client:
            while True:
                request = tuning_pb2.WatchJobRequest(id=self.job, after_seq=self.seq)
                try:
                    for event in client.tuning.WatchJob(request):
                        self.events.append(event)
                except Unreachable:
                    self.broken += 1
                else:
                    return

    @property
    def seq(self) -> int:
        return self.events[-1].seq if self.events else 0


class Page(threading.Thread):
    """What the page gathers of a job while people look at it."""

    def __init__(self, system: System, job: str) -> None:
        super().__init__(daemon=True)
        self.system, self.job = system, job
        self.seq = 0
        self.start()

    def run(self) -> None:
        asyncio.run(self._follow())

    async def _follow(self) -> None:
        system = self.system

        class Here(Backend):
            def client(self, language: str) -> AsyncClient:
                return AsyncClient(system.grpc, system.token, language)

        self.view = Jobs(Here()).follow(self.job, "en")
        while not self.view.ended:
            self.seq = self.view.seq
            await asyncio.sleep(0.05)


class CommandLine:
    """`netgraft watch JOB --json` in a process of its own."""

    def __init__(self, system: System, job: str) -> None:
        self.output = system.state.parent / "watch.txt"
        with self.output.open("w") as out:
            self.process = subprocess.Popen(
                [NETGRAFT, "watch", job, "--json"],
                env={**system.environment, "NETGRAFT_ADDRESS": system.grpc},
                stdout=out,
                stderr=out,
            )

    def numbers(self) -> list[int]:
        lines = self.output.read_text().split("\n")[:-1]
        return [int(found["seq"]) for found in map(json.loads, lines) if "seq" in found]

    @property
    def seq(self) -> int:
        return max(self.numbers(), default=0)


@dataclass
class Story:
    """A system that loses its processes, and what was seen of that."""

    up: Up
    running: str = ""
    waiting: str = ""
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """From the death of a process to the next good answer."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Attempts of the running job, after a kind of process was lost."""

    @property
    def system(self) -> System:
        return self.up.system

    def begin(self) -> None:
        self.running, self.waiting = self._start(), self._start()
        wait_for("its first steps", lambda: self.job(self.running).last_event.step > 3)
        self.program = Program(self.system, self.running)
        self.page = Page(self.system, self.running)
        self.command = CommandLine(self.system, self.running)
        self.goes_on()

    def _start(self) -> str:
        with self.system.client() as client:
            edit = surgery_pb2.RetargetModelRequest(model=MODEL, classes=10)
            model = client.surgery.RetargetModel(edit).model.id
            spec = digits_spec(model, epochs=1000, workers=1)
            return client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id

    def job(self, name: str) -> tuning_pb2.Job:
        with self.system.client() as client:
            return client.tuning.GetJob(tuning_pb2.GetJobRequest(id=name))

    def answers(self) -> bool:
        """Whether front, page and a tensor worker do what they are for."""
        tensors = models_pb2.ExportModelRequest(model=MODEL, format="state_dict")
        with self.system.client() as client, suppress(Unreachable, OSError):
            client.models.ListModels(models_pb2.ListModelsRequest(limit=1), timeout=5)
            urllib.request.urlopen(f"{self.system.web}/healthz", timeout=5).close()
            try:
                return len(list(client.models.ExportModel(tensors))) > 0
            except RemoteError as error:  # the call reached a worker that was dying
                assert error.kind is WorkerLost, error
        return False

    def lose(self, part: str) -> None:
        """Kill a process; another takes its place, and the job goes on before the eyes of all."""
        self.saves()
        lost = self.up.kill(part)
        seconds = wait_for(f"an answer without a {part}", self.answers, BACK_SECONDS[part])
        wait_for(f"another {part}", lambda: self.up.find(part) not in ([], [lost]))
        self.seconds.setdefault(part, []).append(seconds)
        self.goes_on()
        self.attempts[part] = self.job(self.running).attempt

    def saves(self) -> None:
        """Wait for a new checkpoint: with it losses are no reason to give up."""
        saved = len(self._checkpoints())
        wait_for("a new checkpoint", lambda: len(self._checkpoints()) > saved)

    def _checkpoints(self) -> list[JobEvent]:
        return [e for e in self.program.events if e.kind == JobEvent.KIND_CHECKPOINT]

    def goes_on(self) -> None:
        """Wait until all who watch have seen the job go on."""
        now = self.job(self.running)
        assert not now.error_message, now.error_message
        for name in ("program", "page", "command"):
            watcher, aim = getattr(self, name), now.last_event.seq + 2
            wait_for(f"event {aim} at the {name}", lambda seen=watcher, to=aim: seen.seq >= to)

    def lose_all(self) -> None:
        """Kill `up`; all that it has started ends, while it is started again."""
        self.saves()
        [front] = self.up.find("front")
        socket = Path(psutil.Process(front).environ()[control.ADDRESS])
        assert socket.exists()
        began = time.monotonic()
        old = self.up.parts()
        self.up.process.kill()
        self.up.process.wait()
        again = threading.Thread(target=self.up.start)
        again.start()
        wait_for("the end of all", lambda: not any(map(lives, old)), GONE_SECONDS)
        self.seconds.setdefault("all", []).append(time.monotonic() - began)
        again.join()
        assert not socket.parent.exists(), "the next one clears what it has left"
        self.goes_on()


@pytest.fixture(scope="module", params=[1, pytest.param(10, marks=pytest.mark.slow)])
def story(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    torch_home_with_weights: Path,
) -> Iterator[Story]:
    """All that is lost, once or ten times."""
    folder, times = tmp_path_factory.mktemp("killed"), request.param
    often = {"NETGRAFT_CHECKPOINT_SECONDS": "1"}
    with running(folder, torch_home_with_weights, **often) as up:
        told = Story(up)
        told.begin()
        try:
            for part in times * LOST:
                told.lose(part)
            assert told.program.broken == 0, "the client finds a server that is back by itself"
            for _ in range(times):
                told.lose_all()
            yield told
        finally:
            told.command.process.kill()


def test_all_answers_soon_after_a_process_was_killed(
    story: Story, record_testsuite_property: Callable[[str, object], None]
) -> None:
    for part, seconds in story.seconds.items():
        record_testsuite_property(f"seconds after the loss of: {part}", seconds)
    assert story.seconds.keys() == {*LOST, "all"}


def test_only_the_loss_of_a_rank_starts_a_run_again(story: Story) -> None:
    others = [story.attempts[part] for part in ("front", "page", "worker", "fork server")]
    times = len(story.seconds["rank"])
    assert others == [times] * 4
    assert story.attempts["rank"] == times + 1


def test_what_waits_for_its_turn_loses_nothing(story: Story) -> None:
    waiting = story.job(story.waiting)
    assert waiting.state == tuning_pb2.JOB_STATE_QUEUED
    assert waiting.attempt == 1
    with story.system.client() as client:
        client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=story.running))
    wait_for("its turn", lambda: story.job(story.waiting).last_event.step > 3)


def test_who_watches_misses_nothing_and_sees_nothing_twice(story: Story) -> None:
    newest = story.job(story.running).last_event.seq
    story.program.join(PATIENCE)
    story.page.join(PATIENCE)
    story.command.process.wait(PATIENCE)
    assert [event.seq for event in story.program.events] == list(range(1, newest + 1))
    assert story.command.numbers() == list(range(1, newest + 1))
    steps = {e.step for e in story.program.events if e.kind == JobEvent.KIND_STEP}
    assert (story.page.view.seq, set(story.page.view.training)) == (newest, steps)


def test_a_run_is_cancelled_in_the_middle_of_a_long_step(story: Story) -> None:
    """Both of its ranks end, and the job goes on when somebody says so."""
    with story.system.client() as client:
        client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=story.waiting))
        edit = surgery_pb2.RetargetModelRequest(model="resnet18@none", classes=10)
        model = client.surgery.RetargetModel(edit).model.id
        spec = digits_spec(model, epochs=1, workers=2, strategy="full")
        # A step of half a minute or more, in parts that need little memory.
        spec.batch_size, spec.accumulate, spec.image_size = 1200, 100, 128
        slow = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id
        wait_for("its first step", lambda: story.job(slow).state == tuning_pb2.JOB_STATE_RUNNING)
        ranks = story.up.find("rank")
        time.sleep(1)
        began = time.monotonic()
        cancelled = client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=slow))
        seconds = time.monotonic() - began
        wait_for("the end of its ranks", lambda: not any(map(psutil.pid_exists, ranks)), 2.0)
        client.tuning.ResumeJob(tuning_pb2.ResumeJobRequest(id=story.waiting))
    assert (cancelled.state, cancelled.last_event.step) == (tuning_pb2.JOB_STATE_CANCELLED, 0)
    assert len(ranks) == 2
    assert seconds < CANCEL_SECONDS
    before = story.job(story.waiting).last_event.seq
    wait_for("more steps", lambda: story.job(story.waiting).last_event.seq > before + 5)


def test_asked_to_end_it_saves_what_runs_and_leaves_no_process(story: Story) -> None:
    step = story.job(story.waiting).last_event.step
    every = story.up.parts()
    story.up.process.terminate()
    assert story.up.process.wait(END_SECONDS) == 0
    assert not any(map(lives, every))
    job = durable.Jobs(story.system.store()).get(story.waiting)
    assert job.state is State.RUNNING
    assert job.last_event is not None
    assert job.last_event.kind is Kind.CHECKPOINT
    assert job.last_event.step >= step
