"""What becomes of calls when the process that answers them dies or hangs, or nobody waits."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import grpc
import psutil
import pytest
from tests.e2e.up import Up, lives, running, wait_for

from netgraft.client import Client, RemoteError
from netgraft.errors import Unreachable
from netgraft.serving.forks.cores import usable_cores
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.v1 import graph_pb2, graph_pb2_grpc, models_pb2, surgery_pb2

pytestmark = [pytest.mark.e2e, pytest.mark.serial]

SMALL = "timm/test_resnet@none"
LARGE = "vit_h_14@none"
"""A model whose drawing and export take a second and more."""
MIB = 2**20
PLACES = usable_cores()
"""How many workers there may be: what is left behind takes none of them."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("workers")
    (folder / "tmp").mkdir()
    here = {"TMPDIR": str(folder / "tmp")}
    with running(folder, torch_home_with_weights, "--no-web", **here) as found:
        yield found


@pytest.fixture
def client(up: Up) -> Iterator[Client]:
    with up.system.client() as connected:
        assert export(connected, SMALL)  # there is a worker
        yield connected


def export(client: Client, model: str) -> int:
    """Bytes of a model's exported state."""
    request = models_pb2.ExportModelRequest(model=model, format="state_dict")
    return sum(len(chunk.data) for chunk in client.models.ExportModel(request))


def busy(up: Up) -> list[int]:
    """Workers that compute, once there are any."""
    found: list[int] = []

    def computes(pid: int) -> bool:
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid).cpu_percent(0.2) > 5  # an idle one takes nothing
        return False

    def look() -> bool:
        found[:] = filter(computes, up.find("worker"))
        return bool(found)

    wait_for("work", look)
    return found


def test_a_worker_lives_on_after_a_call(up: Up, client: Client) -> None:
    before = up.find("worker")
    for _ in range(5):
        export(client, SMALL)
    assert set(up.find("worker")) <= set(before)


def test_a_worker_that_dies_fails_its_own_call_and_no_other(up: Up, client: Client) -> None:
    with ThreadPoolExecutor() as pool:
        lost = pool.submit(export, client, LARGE)
        os.kill(busy(up)[0], signal.SIGKILL)
        with pytest.raises(RemoteError, match="Nothing else is affected; try again") as raised:
            lost.result()
    assert (raised.value.reason, raised.value.code) == ("WORKER_LOST", "ABORTED")
    assert export(client, SMALL)


def test_a_call_that_takes_too_much_memory_says_so(up: Up, client: Client) -> None:
    workers = [psutil.Process(pid) for pid in up.find("worker")]
    for worker in workers:
        assert worker.rlimit(psutil.RLIMIT_DATA)[0] < psutil.virtual_memory().total
        little = worker.memory_info().data + 100 * MIB
        worker.rlimit(psutil.RLIMIT_DATA, (little, little))
    with pytest.raises(RemoteError, match="too little memory") as raised:
        export(client, LARGE)
    assert (raised.value.reason, raised.value.code) == ("OUT_OF_MEMORY", "RESOURCE_EXHAUSTED")
    assert export(client, SMALL)
    for worker in workers:
        worker.kill()
    wait_for("their end", lambda: not any(map(lives, workers)))


def test_what_nobody_waits_for_any_more_ends(up: Up, client: Client) -> None:
    channel = grpc.insecure_channel(up.system.grpc)
    metadata = (("authorization", f"Bearer {up.system.token}"), ("application", "graphs"))
    draw = graph_pb2_grpc.GraphsStub(channel).DrawGraph
    for turn in range(PLACES + 1):
        model = client.surgery.RetargetModel(
            surgery_pb2.RetargetModelRequest(model=LARGE, classes=100 + turn)
        ).model.id
        call = draw.future(graph_pb2.DrawGraphRequest(model=model), metadata=metadata)
        left = busy(up)
        call.cancel()
        wait_for("its end", lambda gone=left: not set(gone) & set(up.find("worker")))
    channel.close()
    assert export(client, SMALL)


def test_a_download_that_is_left_frees_its_worker_and_its_files(up: Up, client: Client) -> None:
    for _ in range(PLACES + 1):
        request = models_pb2.ExportModelRequest(model="resnet50@none", format="state_dict")
        chunks = client.models.ExportModel(request)
        next(chunks)
        before = up.find("worker")
        chunks.close()  # type: ignore[attr-defined]
        wait_for("its end", lambda gone=before: set(up.find("worker")) != set(gone))
    assert export(client, SMALL)
    temporary = Path(up.system.environment["TMPDIR"])
    wait_for("the end of its files", lambda: not list(temporary.rglob("netgraft-export-*")))


def test_a_job_is_submitted_whose_call_was_broken_off_when_it_was_stored(
    up: Up, client: Client
) -> None:
    jobs = Jobs(up.system.store())
    retarget = surgery_pb2.RetargetModelRequest(model=SMALL, classes=10)
    model = client.surgery.RetargetModel(retarget).model.id
    request = Request(model, "digits", epochs=1, image_size=16, batch_size=64, workers=1)
    job = jobs.create(planning.plan(request, Capacity(PLACES, 0), jobs.store))
    chunks = client.models.ExportModel(
        models_pb2.ExportModelRequest(model="resnet50@none", format="state_dict")
    )
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    wait_for("its end", lambda: jobs.get(job.id).state is State.SUCCEEDED)


def test_a_front_that_hangs_is_made_again(up: Up, client: Client) -> None:
    (front,) = up.find("front")
    os.kill(front, signal.SIGSTOP)
    wait_for("another front", lambda: up.find("front") not in ([front], []))
    wait_for("its answer", lambda: answers(up))


def answers(up: Up) -> bool:
    with up.system.client() as client, suppress(Unreachable):
        return export(client, SMALL) > 0
    return False
