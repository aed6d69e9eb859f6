"""The Tuning service in-process: what it refuses before training, and what it promises."""

import asyncio
from pathlib import Path

import pytest
import torch
from PIL import Image

from netgraft.errors import (
    DataNotFound,
    HeadMismatch,
    InvalidData,
    InvalidValue,
    NetgraftError,
    NotEnoughWorkers,
    NothingTrains,
    NotPossible,
    OutsideDataRoots,
    UnknownJob,
    UnknownModel,
    Unreachable,
    WeightsUnavailable,
)
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2, tuning_pb2

TINY = "timm/test_resnet@none"


class Cluster:
    """A launcher with two cores that notes what it is asked for."""

    def __init__(self) -> None:
        self.submitted: list[tuple[str, str]] = []
        self.stopped: list[str] = []

    def capacity(self) -> Capacity:
        return Capacity(2, 0)

    def submit(self, job_id: str, submission: str) -> None:
        self.submitted.append((job_id, submission))

    def stop(self, submission: str) -> None:
        self.stopped.append(submission)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def service(store: Store, cluster: Cluster) -> TuningServicer:
    return TuningServicer(store, cluster)


@pytest.fixture
def ten(store: Store) -> str:
    """A tiny model with a head for ten classes."""
    return retargeted(store, TINY, 10)


def retargeted(store: Store, model: str, classes: int) -> str:
    request = surgery_pb2.RetargetModelRequest(model=model, classes=classes)
    return SurgeryServicer(store).RetargetModel(request).model.id


def start(service: TuningServicer, model: str, data: str = "digits", **said: object):
    spec = tuning_pb2.TuningSpec(model=model, data=data, **said)
    return service.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))


def test_a_job_is_queued_with_every_default_filled_in_and_stated(
    service: TuningServicer, cluster: Cluster, ten: str
) -> None:
    job = start(service, ten, epochs=2)
    assert job.state == tuning_pb2.JOB_STATE_QUEUED
    assert cluster.submitted == [(job.id, job.id)]
    said = {field.name for field, _ in job.spec.ListFields()}
    chosen_by_the_run = {"precision", "layout", "threads"}
    unset = {"options", "skip_bad", "accumulate", "patience", "features"}
    unset |= {"label_smoothing", "mixup", "max_minutes", "max_cost"}
    assert said == set(job.spec.DESCRIPTOR.fields_by_name) - chosen_by_the_run - unset
    assert (job.spec.model, job.spec.data, job.spec.epochs) == (ten, "digits", 2)
    names = {line.partition(" ")[0] for line in job.assumptions}
    assert names >= {"learning", "batch", "optimizer", "workers", "device", "seed", "image"}
    assert "epochs" not in names
    assert job.last_event.seq == job.attempt == 1


def test_what_was_said_is_kept_to_the_letter(service: TuningServicer, ten: str) -> None:
    said = {
        "epochs": 3,
        "lr": 0.05,
        "batch_size": 20,
        "optimizer": "sgd",
        "loss": "label_smoothing",
        "workers": 1,
        "device": "cpu",
        "precision": "bf16",
        "strategy": "probe",
        "image_size": 56,
        "seed": 0,
        "augment": "light",
        "mirror": True,
        "balance": "sampling",
        "label_smoothing": 0.05,
        "mixup": 0.5,
    }
    job = start(service, ten, **said)
    assert {name: getattr(job.spec, name) for name in said} == said
    assert list(job.assumptions) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("batch_size", 0),
        ("batch_size", -1),
        ("batch_size", 1_000_000),
        ("batch_size", 1),
        ("batch_size", 5_000),
        ("lr", 0.0),
        ("lr", -0.1),
        ("lr", 1e9),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("epochs", 0),
        ("epochs", -5),
        ("epochs", 10**9),
        ("optimizer", "sgdd"),
        ("device", "tpu"),
        ("precision", "int8"),
        ("precision", "fp16"),
        ("strategy", "some"),
        ("loss", "hinge"),
        ("loss", "dice"),
        ("workers", 0),
        ("image_size", 0),
        ("image_size", 10**6),
        ("seed", -1),
    ],
)
def test_a_value_that_cannot_be_is_named(
    service: TuningServicer, cluster: Cluster, ten: str, name: str, value: object
) -> None:
    with pytest.raises(InvalidValue, match=name):
        start(service, ten, **{name: value})
    assert cluster.submitted == []
    assert service.ListJobs(tuning_pb2.ListJobsRequest()).jobs == []


def test_a_batch_that_its_workers_cannot_share_is_refused(
    service: TuningServicer, ten: str
) -> None:
    with pytest.raises(InvalidValue, match="batch_size"):
        start(service, ten, batch_size=3, workers=2)


def test_without_a_gpu_one_worker_uses_all_cores_unless_the_settings_say_more(
    service: TuningServicer, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(service, ten)
    assert job.spec.workers == 1
    assert "workers 1: its threads use all cores" in job.assumptions
    monkeypatch.setenv("NETGRAFT_WORKERS", "2")
    settings.cache_clear()
    assert start(service, ten).spec.workers == 2


def test_more_workers_than_cores_are_refused_with_how_many_there_are(
    service: TuningServicer, ten: str
) -> None:
    with pytest.raises(NotEnoughWorkers, match=r"3 workers on CPU.*there are 2"):
        start(service, ten, workers=3)
    with pytest.raises(NotEnoughWorkers, match=r"1 workers on GPU.*there are 0"):
        start(service, ten, device="gpu", workers=1)


def test_a_head_that_does_not_fit_is_reported_with_the_retarget_to_make(
    service: TuningServicer, store: Store
) -> None:
    with pytest.raises(HeadMismatch, match="netgraft retarget timm/test_resnet --classes 10"):
        start(service, TINY)
    seven = retargeted(store, TINY, 7)
    with pytest.raises(HeadMismatch, match="7 classes") as caught:
        start(service, seven)
    assert seven.startswith(str(caught.value.values["model"]))


def test_what_does_not_exist_is_reported_as_such(service: TuningServicer, ten: str) -> None:
    with pytest.raises(UnknownModel):
        start(service, "resnet5000")
    with pytest.raises(DataNotFound):
        start(service, ten, data="./no-such-folder")
    with pytest.raises(OutsideDataRoots):
        start(service, ten, data="/etc")


def test_a_model_that_is_no_classifier_is_refused(service: TuningServicer) -> None:
    with pytest.raises(NotPossible, match="segmentation"):
        start(service, "fcn_resnet50@none")


def test_missing_weights_end_the_run_in_words(
    service: TuningServicer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody answers there
    model = retargeted_without_weights(store)
    job = start(service, model)
    with pytest.raises(WeightsUnavailable, match="--weights none"):
        run(job.id, Group(0, 1, torch.device("cpu")), store)


def retargeted_without_weights(store: Store) -> str:
    return retargeted(store, "mobilenet_v2@IMAGENET1K_V1", 10)


def test_an_entirely_frozen_model_is_refused(
    service: TuningServicer, store: Store, ten: str
) -> None:
    request = surgery_pb2.FreezeLayersRequest(model=ten, layers=["all"])
    frozen = SurgeryServicer(store).FreezeLayers(request).model.id
    with pytest.raises(NothingTrains):
        start(service, frozen)


def pets(folder: Path, size: tuple[int, int] = (40, 40)) -> None:
    """Write ten pictures of each of two classes."""
    for name in ("cat", "dog"):
        (folder / "pets" / name).mkdir(parents=True)
        for index in range(10):
            Image.new("RGB", size).save(folder / "pets" / name / f"{index}.png")


def test_pictures_of_one_pixel_are_trained_on_and_changed_ones_are_noticed_later(
    service: TuningServicer, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    pets(tmp_path, (1, 1))
    alone = Group(0, 1, torch.device("cpu"))
    two = retargeted(store, TINY, 2)
    job = start(service, two, data="pets", epochs=1, image_size=32, precision="fp32")
    run(job.id, alone, store)
    assert service.GetJob(tuning_pb2.GetJobRequest(id=job.id)).metrics["accuracy"] == 0.5
    Image.new("RGB", (2, 2)).save(tmp_path / "pets" / "dog" / "3.png")
    service.ResumeJob(tuning_pb2.ResumeJobRequest(id=job.id, epochs=1))
    with pytest.raises(InvalidData, match="changed since"):
        run(job.id, alone, store)
    settings.cache_clear()


def test_damaged_pictures_end_a_run_before_its_first_step_unless_it_may_leave_them_out(
    service: TuningServicer,
    store: Store,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    pets(tmp_path)
    (tmp_path / "pets" / "dog" / "7.png").write_bytes(b"\x89PNG no more")
    two = retargeted(store, TINY, 2)
    alone = Group(0, 1, torch.device("cpu"))
    refused = start(service, two, data="pets", epochs=1, image_size=32, precision="fp32")
    jobs = Jobs(store)
    with pytest.raises(InvalidData, match=r"dog/7\.png") as caught:
        run(refused.id, alone, store)
    jobs.fail(refused.id, 1, caught.value)
    service.ResumeJob(tuning_pb2.ResumeJobRequest(id=refused.id, skip_bad=0.05))
    run(refused.id, alone, store)
    assert jobs.get(refused.id).state is State.SUCCEEDED
    spared = start(
        service, two, data="pets", epochs=1, image_size=32, precision="fp32", skip_bad=0.05
    )
    run(spared.id, alone, store)
    assert jobs.get(spared.id).state is State.SUCCEEDED
    notes = [str(event.message) for event in jobs.events_after(spared.id, 0)[1]]
    assert any("left out" in note for note in notes)
    job = start(service, two, data="./pets")
    assert job.spec.data == str(tmp_path / "pets")
    assert job.spec.image_size == 80, "twice the side of its pictures"
    settings.cache_clear()


def test_without_a_ray_starting_says_how_to_get_one(store: Store, ten: str) -> None:
    with pytest.raises(Unreachable, match="netgraft up"):
        start(TuningServicer(store), ten)


def test_a_job_can_be_read_listed_and_is_unknown_by_another_name(
    service: TuningServicer, ten: str
) -> None:
    job = start(service, ten)
    assert service.GetJob(tuning_pb2.GetJobRequest(id=job.id)) == job
    queued = tuning_pb2.ListJobsRequest(state=tuning_pb2.JOB_STATE_QUEUED)
    assert [j.id for j in service.ListJobs(queued).jobs] == [job.id]
    failed = tuning_pb2.ListJobsRequest(state=tuning_pb2.JOB_STATE_FAILED)
    assert list(service.ListJobs(failed).jobs) == []
    with pytest.raises(UnknownJob):
        service.GetJob(tuning_pb2.GetJobRequest(id="tune-1"))


def test_cancelling_a_run_that_does_not_answer_ends_it_from_outside(
    service: TuningServicer, cluster: Cluster, ten: str
) -> None:
    job = start(service, ten)
    cancelled = service.CancelJob(tuning_pb2.CancelJobRequest(id=job.id))
    assert cancelled.state == tuning_pb2.JOB_STATE_CANCELLED
    assert cluster.stopped == [job.id]
    resumed = service.ResumeJob(tuning_pb2.ResumeJobRequest(id=job.id))
    assert (resumed.state, resumed.attempt) == (tuning_pb2.JOB_STATE_QUEUED, 2)
    assert cluster.submitted[-1] == (job.id, f"{job.id}-2")


async def watched(service: TuningServicer, job_id: str, after: int = 0) -> list[int]:
    request = tuning_pb2.WatchJobRequest(id=job_id, after_seq=after)
    return [event.seq async for event in service.WatchJob(request)]


async def test_two_watchers_see_every_event_once_and_in_order(
    service: TuningServicer, ten: str
) -> None:
    job = await asyncio.to_thread(start, service, ten)
    watchers = [asyncio.create_task(watched(service, job.id)) for _ in range(2)]
    attempt = service.jobs.begin(job.id)
    for step in range(40):
        service.jobs.record(job.id, attempt, [Event(Kind.STEP, step=step)])
        await asyncio.sleep(0.005)
    service.jobs.succeed(job.id, attempt, "f" * 64, {"accuracy": 1.0})
    for seen in await asyncio.wait_for(asyncio.gather(*watchers), 20):
        assert seen == list(range(1, 44))


async def test_a_watcher_that_comes_back_misses_nothing(service: TuningServicer, ten: str) -> None:
    job = await asyncio.to_thread(start, service, ten)
    attempt = service.jobs.begin(job.id)
    service.jobs.record(job.id, attempt, [Event(Kind.STEP, step=step) for step in range(10)])
    first = []
    request = tuning_pb2.WatchJobRequest(id=job.id)
    async for event in service.WatchJob(request):
        first.append(event.seq)
        if event.seq == 5:
            break
    service.jobs.succeed(job.id, attempt, "f" * 64, {})
    rest = await watched(service, job.id, after=5)
    assert first + rest == list(range(1, 14))
    assert await watched(service, job.id, after=13) == []


async def test_an_event_reaches_a_watcher_within_200_ms(service: TuningServicer, ten: str) -> None:
    job = await asyncio.to_thread(start, service, ten)
    attempt = service.jobs.begin(job.id)
    arrived: dict[int, float] = {}
    clock = asyncio.get_running_loop().time

    async def watch() -> None:
        async for event in service.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
            arrived[event.step] = clock()

    watcher = asyncio.create_task(watch())
    written: dict[int, float] = {}
    for step in range(1, 11):
        await asyncio.sleep(0.13)
        service.jobs.record(job.id, attempt, [Event(Kind.STEP, step=step)])
        written[step] = clock()
    service.jobs.succeed(job.id, attempt, "f" * 64, {})
    await asyncio.wait_for(watcher, 10)
    delays = sorted(arrived[step] - written[step] for step in written)
    assert delays[len(delays) // 2] < 0.2


async def test_watching_an_unknown_job_is_an_error(service: TuningServicer) -> None:
    with pytest.raises(NetgraftError):
        await watched(service, "tune-nothing")
