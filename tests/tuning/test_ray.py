"""Runs in a real local Ray: two workers, killed processes, cancelled and resumed."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch

from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe
from netgraft.serving.ray_patches import start_ray
from netgraft.settings import settings
from netgraft.store.store import default_store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.reconcile import Reconciler
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.train import checkpoint
from netgraft.v1 import surgery_pb2, tuning_pb2

pytestmark = [pytest.mark.e2e, pytest.mark.serial, pytest.mark.timeout(600)]

PATIENCE = 240
"""Seconds that a busy machine may take for what an idle one does in twenty."""
SILENT_SECONDS = 10
"""Seconds after which the reconciler takes a run for lost; its default is longer."""
STEPS_PER_EPOCH = 22
EPOCHS = 5


@pytest.fixture(scope="module")
def state() -> Iterator[Path]:
    """A state folder, and an environment that Ray's processes inherit."""
    folder = Path(tempfile.mkdtemp(prefix="ng-"))  # short: Ray puts sockets below it
    with pytest.MonkeyPatch.context() as patch:
        variables = {
            "NETGRAFT_STATE": str(folder),
            "NETGRAFT_CHECKPOINT_SECONDS": "1",
        }
        for name, value in variables.items():
            patch.setenv(name, value)
        settings.cache_clear()
        default_store.cache_clear()
        yield folder
    settings.cache_clear()
    default_store.cache_clear()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def service(state: Path) -> Iterator[TuningServicer]:
    """The real service beside a local Ray with two cores."""
    import ray

    start_ray(
        num_cpus=2,
        object_store_memory=256 * 2**20,
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        _temp_dir=str(state / "r"),
    )
    try:
        servicer = TuningServicer()
        Reconciler(servicer.jobs, servicer.launcher, SILENT_SECONDS).start()
        yield servicer
    finally:
        ray.shutdown()


@pytest.fixture(scope="module")
def model(service: TuningServicer) -> str:
    """A tiny real model, with batch norm, for the ten digits."""
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    return SurgeryServicer(service.store).RetargetModel(request).model.id


def start(service: TuningServicer, model: str) -> str:
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
    return service.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id


def wait_for(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.05)


def wait_for_step(service: TuningServicer, job: str, step: int, attempt: int = 1) -> None:
    def reached() -> bool:
        now = service.jobs.get(job)
        assert now.state in (State.QUEUED, State.RUNNING), now.error_message
        last = now.last_event
        return last is not None and last.attempt >= attempt and last.step >= step

    wait_for(f"step {step}", reached)


def wait_for_end(service: TuningServicer, job: str) -> None:
    ended = (State.SUCCEEDED, State.FAILED, State.CANCELLED)
    wait_for("the end", lambda: service.jobs.get(job).state in ended)


def every_event(service: TuningServicer, job: str) -> list[Event]:
    found: list[Event] = []
    while more := service.jobs.events_after(job, len(found))[1]:
        found += more
    return found


def processes(state: Path, *words: str) -> list[psutil.Process]:
    """Our own processes (they carry our state folder) whose command has one of the words."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            ours = process.environ().get("NETGRAFT_STATE") == str(state)
        except psutil.Error:
            continue
        if ours and process.pid != os.getpid() and any(word in command for word in words):
            found.append(process)
    return found


def leaves_no_process(state: Path) -> bool:
    return not processes(
        state, "RayTrainWorker", "netgraft.tuning.workers.entry", "TrainController"
    )


def parameters(service: TuningServicer, job: str) -> dict[str, torch.Tensor]:
    """The parameters that the run learned, without the running statistics."""
    edit = get_recipe(service.store, service.jobs.get(job).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    tensors = service.store.get_tensors(edit.tensors)
    return {name: value for name, value in tensors.items() if "running" not in name}


def assert_same_numbers(service: TuningServicer, first: str, second: str) -> None:
    one, other = parameters(service, first), parameters(service, second)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    accuracies = [service.jobs.get(job).metrics["accuracy"] for job in (first, second)]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.003)


@pytest.fixture(scope="module")
def killed(service: TuningServicer, model: str, state: Path) -> str:
    """A run one of whose workers was killed after the first epoch, at its end."""
    job = start(service, model)
    wait_for_step(service, job, STEPS_PER_EPOCH + 4)
    victims = processes(state, "RayTrainWorker")
    assert len(victims) == 2
    victims[-1].kill()
    wait_for_end(service, job)
    return job


def test_a_run_whose_worker_is_killed_succeeds(service: TuningServicer, killed: str) -> None:
    job = service.jobs.get(killed)
    assert job.state is State.SUCCEEDED, job.error_message
    assert job.attempt >= 2
    assert job.metrics["accuracy"] > 0.8
    story = every_event(service, killed)
    assert [event.seq for event in story] == list(range(1, len(story) + 1))
    notes = [event.message for event in story if event.kind is Kind.NOTE]
    assert any("started again" in note for note in notes)


def test_it_goes_on_from_the_last_checkpoint(service: TuningServicer, killed: str) -> None:
    story = every_event(service, killed)
    saved = max(e.step for e in story if e.attempt == 1 and e.kind is Kind.CHECKPOINT)
    again = min(e.step for e in story if e.attempt > 1 and e.kind is Kind.STEP)
    assert again > saved >= STEPS_PER_EPOCH


def test_a_finished_run_leaves_no_process(
    service: TuningServicer, killed: str, state: Path
) -> None:
    wait_for("the end of its processes", lambda: leaves_no_process(state), 60)


def test_a_run_outlives_its_driver_is_cancelled_within_two_seconds_and_resumes(
    service: TuningServicer, model: str, state: Path, killed: str
) -> None:
    job = start(service, model)
    wait_for_step(service, job, STEPS_PER_EPOCH + 4)
    for driver in processes(state, "netgraft.tuning.workers.entry"):
        driver.kill()
    wait_for_step(service, job, 2 * STEPS_PER_EPOCH + 4, attempt=2)
    assert service.jobs.get(job).submission != job
    assert any("process was lost" in event.message for event in every_event(service, job))

    asked = time.monotonic()
    cancelled = service.CancelJob(tuning_pb2.CancelJobRequest(id=job))
    assert cancelled.state == tuning_pb2.JOB_STATE_CANCELLED
    assert time.monotonic() - asked < 4  # two, and what a busy machine adds
    wait_for("the end of its processes", lambda: leaves_no_process(state), 60)
    saved = checkpoint.newest(service.store, job)
    assert saved is not None
    assert saved["learner"]["steps"] >= 2 * STEPS_PER_EPOCH

    resumed = service.ResumeJob(tuning_pb2.ResumeJobRequest(id=job))
    assert resumed.attempt == 3
    wait_for_end(service, job)
    done = service.jobs.get(job)
    assert done.state is State.SUCCEEDED, done.error_message
    again = [e.step for e in every_event(service, job) if e.attempt > 2 and e.step]
    assert min(again) > 2 * STEPS_PER_EPOCH
    assert_same_numbers(service, killed, job)
