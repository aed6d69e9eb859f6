"""What a job's results show: kept answers, their counts, and the pictures of the job's data."""

import io
from pathlib import Path

import pytest
from PIL import Image

from netgraft.errors import InvalidData, InvalidValue, NotFound, PictureNotFound, UnknownJob
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data.kept import keep
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec
from netgraft.tuning.results.shown import heldout
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import tuning_pb2

HOSTILE = "<img src=x onerror=alert(1)>"
MODEL = "a" * 64
METRICS = {
    "accuracy": 0.6,
    "accuracy_low": 0.23,
    "accuracy_high": 0.88,
    "majority": 0.6,
    "balanced_accuracy": 0.58,
    "macro_f1": 0.58,
    "calibration_error": 0.1,
    "loss": 0.7,
}


@pytest.fixture
def answers() -> heldout.HeldOut:
    """Of five pictures of two classes, two named wrong."""
    return heldout.HeldOut(
        job="job",
        data="/data/flowers",
        data_hash="d" * 64,
        class_names=("daisy", HOSTILE),
        sizes={"fit": 8, "held_back": 2, "held_out": 5},
        metrics=METRICS,
        names=["daisy/1.png", "daisy/2.png", "daisy/3.png", "x/1.png", "x/2.png"],
        truths=[0, 0, 0, 1, 1],
        said=[0, 0, 1, 1, 0],
        probabilities=[0.9, 0.6, 0.8, 0.7, 0.95],
    )


@pytest.fixture
def data(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pictures below the data roots."""
    place = tmp_path / "data"
    for name in ("daisy/1.png", "daisy/2.png", "rose/1.png", "rose/2.png"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (300, 200), "teal").save(place / name)
    (place / "secret.txt").write_text("secret")
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(place))
    settings.cache_clear()
    return place


def job_on(data: Path, store: Store) -> str:
    spec = Spec(
        model="0" * 64,
        data=str(data),
        epochs=1,
        lr=0.001,
        batch_size=4,
        optimizer="adamw",
        loss="cross_entropy",
        workers=1,
        device="cpu",
        precision="fp32",
        strategy="full",
        image_size=32,
        seed=0,
        fingerprint=keep(open_data(str(data)), store),
    )
    return Jobs(store).create(ResolvedSpec(spec, ())).id


def picture(store: Store, job: str, file: str) -> tuning_pb2.Picture:
    return TuningServicer(store).GetPicture(tuning_pb2.GetPictureRequest(job=job, file=file))


def test_answers_are_kept_and_counted(store: Store, answers: heldout.HeldOut) -> None:
    heldout.keep(store, MODEL, answers)
    found = heldout.kept(Store(store.folder, str(store.engine.url)), MODEL)
    assert found == answers
    assert (found.correct, found.confusion()) == (3, [2, 1, 1, 1])
    assert [each.recall for each in found.of_classes] == [2 / 3, 1 / 2]
    assert [each.precision for each in found.of_classes] == [2 / 3, 1 / 2]
    assert [each.file for each in found.mistakes()] == ["x/2.png", "daisy/3.png"]
    assert found.confused(1) == [("daisy", HOSTILE, 1)]
    assert [each.file for each in found.answers("daisy")] == [
        "daisy/1.png", "daisy/3.png", "daisy/2.png",
    ]  # fmt: skip
    assert heldout.kept(store, "b" * 64) is None


def test_results_are_those_of_the_newest_model_until_there_is_a_result(
    store: Store, jobs: Jobs, resolved: ResolvedSpec, answers: heldout.HeldOut
) -> None:
    job = jobs.create(resolved).id
    service, asked = TuningServicer(store), tuning_pb2.GetResultsRequest(job=job)
    assert service.GetResults(asked) == tuning_pb2.Results(job=job)
    with pytest.raises(NotFound):
        service.ListAnswers(tuning_pb2.ListAnswersRequest(job=job))

    heldout.keep(store, MODEL, answers)
    attempt = jobs.begin(job)
    note = Event(Kind.NOTE, message='"kind": "model"')
    jobs.record(job, attempt, [Event(Kind.MODEL, model=MODEL), note])
    found = service.GetResults(asked)
    assert (found.model, found.data_hash, dict(found.sizes)) == (MODEL, "d" * 64, answers.sizes)
    assert (found.evaluation.correct, found.evaluation.pictures) == (3, 5)
    assert [each.name for each in found.evaluation.classes] == ["daisy", HOSTILE]
    assert {name: getattr(found.evaluation, name) for name in METRICS} == METRICS

    reply = service.ListAnswers(
        tuning_pb2.ListAnswersRequest(job=job, truth="daisy", limit=1, offset=1)
    )
    [answer] = reply.answers
    assert (reply.total, answer.file, answer.said) == (3, "daisy/3.png", HOSTILE)
    with pytest.raises(InvalidValue):
        service.ListAnswers(tuning_pb2.ListAnswersRequest(job=job, offset=-1))

    jobs.succeed(job, attempt, "c" * 64, METRICS)  # of an earlier version: no answers
    assert service.GetResults(asked) == tuning_pb2.Results(job=job, model="c" * 64)
    with pytest.raises(UnknownJob):
        service.GetResults(tuning_pb2.GetResultsRequest(job="nobody's"))


def test_a_picture_of_the_data_comes_small(store: Store, data: Path) -> None:
    found = picture(store, job_on(data, store), "rose/2.png")
    with Image.open(io.BytesIO(found.data)) as opened:
        assert (opened.format, max(opened.size)) == ("JPEG", 128)


@pytest.mark.parametrize(
    "file", ["secret.txt", "../state/token", "/etc/passwd", "rose/../secret.txt", "", "rose"]
)
def test_no_other_file_is_read(store: Store, data: Path, file: str) -> None:
    with pytest.raises(PictureNotFound):
        picture(store, job_on(data, store), file)


def test_a_picture_that_has_become_another_is_not_read(
    store: Store, data: Path, tmp_path: Path
) -> None:
    job, outside = job_on(data, store), tmp_path / "outside.png"
    Image.new("RGB", (200, 200), "red").save(outside)
    (data / "rose/1.png").unlink()
    (data / "rose/1.png").symlink_to(outside)
    with pytest.raises(InvalidData, match="has changed"):
        picture(store, job, "rose/1.png")
    (data / "rose/2.png").unlink()
    with pytest.raises(PictureNotFound):
        picture(store, job, "rose/2.png")
