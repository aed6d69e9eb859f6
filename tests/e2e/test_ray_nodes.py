"""Runs on two simulated nodes: over both when one is too small, and on the other when one dies."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from netgraft.serving.forks.ranks import RANK
from netgraft.store.store import Store, default_store
from netgraft.tuning.deployment import PARTS
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.local import LocalLauncher, Watch
from netgraft.v1 import tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.serial,
    pytest.mark.slow,  # Ray Train alone takes ten seconds to start
    pytest.mark.timeout(600),
]

PATIENCE = 240
TINY = "timm/test_resnet@none"
CORES = 1
"""Of each node."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("nodes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETGRAFT_STATE", str(folder))
        patch.setenv("NETGRAFT_CHECKPOINT_SECONDS", "0.5")
        forget()
        yield folder
    forget()


def forget() -> None:
    from netgraft.settings import settings

    settings.cache_clear()
    default_store.cache_clear()


@pytest.fixture(scope="module")
def nodes(state: Path) -> Iterator[Any]:
    """Two nodes of a core each, and a head without."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=CORES)
        ray.init(
            address=cluster.address,
            log_to_driver=False,
            runtime_env={"worker_process_setup_hook": "netgraft.serving.ray_patches.install"},
        )
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.fixture(scope="module")
def tuning(nodes: Any) -> TuningServicer:
    """The service, and what starts lost runs again, in this process: a driver of the cluster."""
    from netgraft.serving.cluster.machine import Cluster

    launcher = LocalLauncher(Cluster(PARTS))
    servicer = TuningServicer(default_store(), launcher)
    Watch(launcher).start()
    return servicer


def start(tuning: TuningServicer, store: Store, workers: int, epochs: int) -> str:
    from netgraft.surgery.servicer import SurgeryServicer
    from netgraft.v1 import surgery_pb2

    retarget = surgery_pb2.RetargetModelRequest(model=TINY, classes=10)
    model = SurgeryServicer(store).RetargetModel(retarget).model.id
    spec = tuning_pb2.TuningSpec(
        model=model,
        data="digits",
        epochs=epochs,
        batch_size=64,
        image_size=32,
        workers=workers,
        device="cpu",
        precision="fp32",
    )
    return tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec)).id


def wait_for(what: str, holds: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return found


def job_of(tuning: TuningServicer, job: str) -> tuning_pb2.Job:
    return tuning.GetJob(tuning_pb2.GetJobRequest(id=job))


def wait_for_success(tuning: TuningServicer, job: str) -> None:
    ended = (tuning_pb2.JOB_STATE_SUCCEEDED, tuning_pb2.JOB_STATE_FAILED)
    wait_for("the end", lambda: job_of(tuning, job).state in ended)
    found = job_of(tuning, job)
    assert found.state == tuning_pb2.JOB_STATE_SUCCEEDED, found.error_message


def events(tuning: TuningServicer, job: str) -> list[JobEvent]:
    _, found = tuning.jobs.events_after(job, 0)
    from netgraft.tuning.servicer import event_message

    return [event_message(event) for event in found]


def processes_of(state: Path, *words: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("NETGRAFT_STATE") == str(state)
            command = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if ours and any(word in command for word in words):
            found.append(process)
    return found


def test_a_run_that_fits_on_no_node_trains_over_both(
    tuning: TuningServicer, nodes: Any, state: Path
) -> None:
    job = start(tuning, default_store(), workers=2, epochs=2)
    workers = wait_for(
        "two workers",
        lambda: len(found := processes_of(state, "RayTrainWorker")) == 2 and found,
    )
    assert len({worker.ppid() for worker in workers}) == 2  # their raylets
    wait_for_success(tuning, job)
    assert job_of(tuning, job).attempt == 1
    assert job_of(tuning, job).metrics["accuracy"] > 0.5
    wait_for("the end of its processes", lambda: not processes_of(state, "ray::Run", "RayTrain"))


def test_a_run_whose_node_dies_goes_on_when_its_ranks_are_gone(
    tuning: TuningServicer, nodes: Any, state: Path
) -> None:
    job = start(tuning, default_store(), workers=1, epochs=30)
    kind = JobEvent.KIND_CHECKPOINT
    wait_for("a checkpoint", lambda: any(e.kind == kind for e in events(tuning, job)))
    [actor] = processes_of(state, "ray::Run")
    ranks = ranks_of(state)
    assert ranks
    raylet = actor.ppid()
    os.kill(raylet, signal.SIGKILL)
    wait_for("its second attempt", lambda: job_of(tuning, job).attempt == 2)
    assert [rank for rank in ranks if lives(rank)] == []
    [other] = wait_for("its next actor", lambda: processes_of(state, "ray::Run"))
    assert other.ppid() != raylet
    wait_for_success(tuning, job)
    found = events(tuning, job)
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    saved = max(e.step for e in found if e.kind == kind and e.attempt == 1)
    assert min(e.step for e in found if e.kind == JobEvent.KIND_STEP and e.attempt == 2) > saved


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def ranks_of(state: Path) -> list[psutil.Process]:
    return [process for process in processes_of(state, "") if process.name() == RANK]
