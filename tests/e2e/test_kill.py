"""A run on two workers loses its driver, then a worker, is cancelled, and resumes.

One job goes through all of it. Before its driver is missed, the same run is made undisturbed:
in the end both have the same numbers.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import torch
from tests.e2e.system import System

from netgraft.client import Client
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.train import checkpoint
from netgraft.v1 import surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PATIENCE = 240
"""Seconds that a busy machine may take for what an idle one does in twenty."""
STEPS_PER_EPOCH = 22
EPOCHS = 8
FIRST, SECOND, THIRD = 1, 3, 5
"""The epochs after which something happens to the run. The one between them is for the steps
that it takes before it feels it."""
ALIVE = (tuning_pb2.JOB_STATE_QUEUED, tuning_pb2.JOB_STATE_RUNNING)

WORKER = "RayTrainWorker"
DRIVER = "netgraft.tuning.workers.entry"
CONTROLLER = "TrainController"


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

    def leaves_no_process(self) -> bool:
        return not self.system.processes(WORKER, DRIVER, CONTROLLER)

    def parameters(self) -> dict[str, torch.Tensor]:
        """The parameters that it learned, without the running statistics."""
        edit = get_recipe(self.system.store(), self.now().result_model).edits[-1]
        assert isinstance(edit, Tuned)
        tensors = self.system.store().get_tensors(edit.tensors)
        return {name: value for name, value in tensors.items() if "running" not in name}


def wait_for(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def client(system: System) -> Iterator[Client]:
    with system.client() as netgraft:
        yield netgraft


@pytest.fixture(scope="module")
def started(system: System, client: Client) -> Observed:
    """A run of a tiny real model with batch norm."""
    retargeted = client.surgery.RetargetModel(
        surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    )
    run = start(system, client, retargeted.model.id)
    wait_for("its start", lambda: run.is_running(attempt=1))
    return run


def start(system: System, client: Client, model: str) -> Observed:
    spec = tuning_pb2.TuningSpec(
        model=model,
        data="digits",
        epochs=EPOCHS,
        lr=0.004,
        batch_size=64,
        image_size=32,
        workers=2,
        device="cpu",
        precision="fp32",
    )
    job = client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    return Observed(system, client, job.id)


@pytest.fixture(scope="module")
def undriven(started: Observed) -> Observed:
    """The run just after its driver was killed."""
    drivers = started.system.processes(DRIVER)  # and the shell that Ray starts it with
    started.wait_for_epochs(FIRST, attempt=1)
    for driver in drivers:
        driver.kill()
    return started


@pytest.fixture(scope="module")
def undisturbed(undriven: Observed) -> Observed:
    """The same run, from beginning to end while the reconciler still waits for the other."""
    run = start(undriven.system, undriven.client, undriven.now().spec.model)
    run.wait_for_success()
    return run


@pytest.fixture(scope="module")
def disturbed(undriven: Observed, undisturbed: Observed) -> Observed:
    """The run by another driver and, after one of its workers was killed, by other workers."""
    run = undriven
    wait_for("its second start", lambda: run.is_running(attempt=2))
    workers = run.system.processes(WORKER)
    assert len(workers) == 2
    run.wait_for_epochs(SECOND, attempt=2)
    workers[-1].kill()
    run.wait_for_epochs(THIRD, attempt=3)
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
    assert resumed.attempt == 4
    run.wait_for_success()
    assert min(run.steps(JobEvent.KIND_STEP, attempt=4)) > saved["learner"]["steps"]


def test_a_run_outlives_its_driver(disturbed: Observed) -> None:
    submission = Jobs(disturbed.system.store()).get(disturbed.job).submission
    assert submission != disturbed.job
    assert "process was lost" in disturbed.notes()
    disturbed.assert_goes_on(attempt=2, epochs=FIRST)


def test_it_outlives_a_worker(disturbed: Observed) -> None:
    assert "started again" in disturbed.notes()
    disturbed.assert_goes_on(attempt=3, epochs=SECOND)


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
