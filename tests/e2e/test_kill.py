"""A run on two ranks loses one of them, then the front, is cancelled, and resumes.

One job goes through all of it. Before it, the same run is made undisturbed: in the end both have
the same numbers.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from tests.e2e.system import System, digits_spec, wait_for

from netgraft.client import Client
from netgraft.errors import Unreachable
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe
from netgraft.serving.forks.ranks import RANK
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.train import checkpoint
from netgraft.v1 import agent_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

STEPS_PER_EPOCH = 19
EPOCHS = 8
FIRST, SECOND, THIRD = 1, 3, 5
"""The epochs after which something happens to the run. The one between them is for the steps
that it takes before it feels it."""
ALIVE = (
    tuning_pb2.JOB_STATE_QUEUED,
    tuning_pb2.JOB_STATE_PREPARING,
    tuning_pb2.JOB_STATE_RUNNING,
)

FRONT = "netgraft.app.front"


@dataclass(frozen=True)
class Observed:
    """A system, a client of it, and the job under test."""

    system: System
    client: Client
    job: str

    def now(self) -> tuning_pb2.Job:
        return self.client.tuning.GetJob(tuning_pb2.GetJobRequest(id=self.job))

    def events(self) -> list[JobEvent]:
        """What has happened so far."""
        newest, found = self.now().last_event.seq, []
        for event in self.client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=self.job)):
            found.append(event)
            if event.seq >= newest:
                break
        return found

    def notes(self) -> str:
        return "\n".join(e.message for e in self.events() if e.kind == JobEvent.KIND_NOTE)

    def steps(self, kind: JobEvent.Kind, attempt: int) -> list[int]:
        """Steps of an attempt's events of a kind."""
        return [e.step for e in self.events() if (e.kind, e.attempt) == (kind, attempt)]

    def is_running(self, attempt: int) -> bool:
        job = self.now()
        assert job.state in ALIVE, job
        return job.state == tuning_pb2.JOB_STATE_RUNNING and job.attempt >= attempt

    def wait_for_epochs(self, epochs: int, attempt: int) -> None:
        """Until an attempt is a few steps past the end of so many epochs."""
        step = epochs * STEPS_PER_EPOCH + 4

        def reached() -> bool:
            job = self.now()
            assert job.state in ALIVE, job
            return job.last_event.attempt >= attempt and job.last_event.step >= step

        wait_for(f"step {step}", reached)

    def wait_for_success(self) -> None:
        wait_for("the end", lambda: self.now().state not in ALIVE)
        job = self.now()
        assert job.state == tuning_pb2.JOB_STATE_SUCCEEDED, job.error_message

    def assert_goes_on(self, attempt: int, epochs: int) -> None:
        """An attempt began after what the one before it had saved, at least so many epochs."""
        saved = max(self.steps(JobEvent.KIND_CHECKPOINT, attempt - 1))
        assert min(self.steps(JobEvent.KIND_STEP, attempt)) > saved >= epochs * STEPS_PER_EPOCH

    def answers(self) -> bool:
        try:
            return bool(self.now().id)
        except Unreachable:
            return False

    def leaves_no_process(self) -> bool:
        return not self.system.processes(RANK)

    def parameters(self) -> dict[str, torch.Tensor]:
        """The parameters that it learned, without the running statistics."""
        edit = get_recipe(self.system.store(), self.now().result_model).edits[-1]
        assert isinstance(edit, Tuned)
        tensors = self.system.store().get_tensors(edit.tensors)
        return {name: value for name, value in tensors.items() if "running" not in name}


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with system.client() as netgraft:
        yield netgraft


@pytest.fixture(scope="module")
def undisturbed(system: System, client: Client) -> Observed:
    """A run of a tiny real model with batch norm, from beginning to end."""
    retargeted = client.surgery.RetargetModel(
        surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    )
    return start(system, client, retargeted.model.id)


def start(system: System, client: Client, model: str) -> Observed:
    spec = digits_spec(model, EPOCHS, workers=2)
    job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    return Observed(system, client, job.id)


class Carried(threading.Thread):
    """A program that has a plan carried out, whose job waits for the cores."""

    def __init__(self, system: System) -> None:
        super().__init__(daemon=True)
        self.system = system
        self.events: list[agent_pb2.RunEvent] = []
        self.start()

    def run(self) -> None:
        retarget = agent_pb2.RetargetStep(model="timm/test_resnet@none", classes=10)
        train = agent_pb2.FinetuneStep(data="digits", epochs=1, image_size=16, workers=1)
        steps = [agent_pb2.Step(retarget=retarget), agent_pb2.Step(finetune=train)]
        with self.system.client() as client:
            consent = client.agent.Consent(agent_pb2.ConsentRequest(steps=steps)).token
            for event in client.agent.Run(agent_pb2.RunRequest(steps=steps, consent_token=consent)):
                self.events.append(event)

    def jobs(self) -> set[str]:
        """The jobs that it has heard of."""
        return {event.progress.job_id for event in self.events if event.progress.job_id}


@pytest.fixture(scope="module")
def carried(system: System) -> Carried:
    return Carried(system)


@pytest.fixture(scope="module")
def disturbed(undisturbed: Observed, request: pytest.FixtureRequest) -> Observed:
    """The same run, after a rank and then the front were killed, which carried out a plan, too."""
    run = start(undisturbed.system, undisturbed.client, undisturbed.now().spec.model)
    assert run.now().state == tuning_pb2.JOB_STATE_QUEUED, "the other one has all cores"
    undisturbed.wait_for_success()
    run.wait_for_epochs(FIRST, attempt=1)
    ranks = run.system.processes(RANK)
    assert len(ranks) == 2
    ranks[-1].kill()
    run.wait_for_epochs(SECOND, attempt=2)
    carried: Carried = request.getfixturevalue("carried")
    wait_for("its job", carried.jobs)
    [front] = run.system.processes(FRONT)
    front.kill()
    wait_for("an answer of the next front", run.answers)
    run.wait_for_epochs(THIRD, attempt=2)
    return run


def test_a_run_is_cancelled_within_two_seconds_and_resumes(disturbed: Observed) -> None:
    run = disturbed
    asked = time.monotonic()
    cancelled = run.client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=run.job))
    assert cancelled.state == tuning_pb2.JOB_STATE_CANCELLED
    assert time.monotonic() - asked < 4  # two, and what a busy machine adds
    wait_for("the end of its processes", run.leaves_no_process, 60)
    saved = checkpoint.newest(run.system.store(), run.job)
    assert saved is not None
    assert saved["learner"]["steps"] >= THIRD * STEPS_PER_EPOCH

    resumed = run.client.tuning.ResumeJob(tuning_pb2.ResumeJobRequest(id=run.job))
    assert resumed.attempt == 3
    run.wait_for_success()
    assert min(run.steps(JobEvent.KIND_STEP, attempt=3)) > saved["learner"]["steps"]


def test_a_run_outlives_a_rank(disturbed: Observed) -> None:
    submission = Jobs(disturbed.system.store()).get(disturbed.job).submission
    assert submission != disturbed.job
    assert "process was lost; it is started again" in disturbed.notes()
    disturbed.assert_goes_on(attempt=2, epochs=FIRST)


def test_it_does_not_notice_the_death_of_the_front(disturbed: Observed) -> None:
    assert disturbed.notes().count("lost") == 1
    steps = disturbed.steps(JobEvent.KIND_STEP, attempt=2)
    assert steps == sorted(set(steps)), "no step was made twice"


def test_a_plan_is_carried_out_to_its_end_though_the_front_died(
    disturbed: Observed, carried: Carried
) -> None:
    carried.join(240)
    kinds = [e.WhichOneof("event") for e in carried.events if not e.HasField("progress")]
    assert kinds == ["started", "finished", "started", "finished"]
    assert len(carried.jobs()) == 1
    assert carried.events[-1].finished.job.id in carried.jobs()


def test_its_events_are_numbered_without_a_gap(disturbed: Observed) -> None:
    newest = disturbed.now().last_event.seq
    assert [event.seq for event in disturbed.events()] == list(range(1, newest + 1))


def test_in_the_end_it_is_the_run_that_nobody_disturbed(
    disturbed: Observed, undisturbed: Observed
) -> None:
    one, other = disturbed.parameters(), undisturbed.parameters()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    accuracies = [run.now().metrics["accuracy"] for run in (disturbed, undisturbed)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.003)
    assert min(accuracies) > 0.8


def test_a_finished_run_leaves_no_process(disturbed: Observed) -> None:
    wait_for("the end of its processes", disturbed.leaves_no_process, 60)
