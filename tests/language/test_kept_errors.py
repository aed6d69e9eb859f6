"""Errors that outlive their process: stored with a job, or sent to a client."""

import json
from pathlib import Path

import pytest
from google.rpc import error_details_pb2, status_pb2
from sqlalchemy import update

from netgraft import errors
from netgraft.client import RemoteError
from netgraft.errors import from_json, to_json
from netgraft.language import Message, quoted
from netgraft.serving.guard import FACT, STATUS_KEY, status_of
from netgraft.serving.servicers import speak
from netgraft.store.store import Store
from netgraft.store.tables import JobRow
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import tuning_pb2

GONE = errors.InvalidData(data="pets", problem=Message("{path} is gone.", path=Path("pets/1.png")))
ENGLISH = "The data set pets cannot be trained on: pets/1.png is gone."
CHINESE = "数据集 pets 无法用于训练：pets/1.png 已不存在。"


# Stored


def test_a_stored_error_is_said_in_the_language_of_its_reader() -> None:
    back = from_json(to_json(GONE))
    assert (back, back.say("zh")) == (ENGLISH, CHINESE)
    assert back.values["data"] == "pets"


def test_text_of_before_is_said_as_it_is() -> None:
    for text in ("", "The training stopped: {bad} luck", "12", '["a"]', '{"a": 1}', "null"):
        assert (from_json(text), from_json(text).say("zh")) == (text, text)


def test_an_error_of_a_class_that_is_gone_is_still_said() -> None:
    stored = json.dumps(
        {"reason": "OF_OLD", "template": "{path} is gone.", "values": {"path": "a"}}
    )
    assert from_json(stored).say("zh") == "a 已不存在。"


def test_a_template_of_before_is_replaced_by_that_of_today() -> None:
    stored = json.loads(to_json(GONE))
    again = from_json(json.dumps({**stored, "template": "Bad data {data}: {problem}"}))
    assert again == ENGLISH
    less = {**stored, "template": "Bad data {data}", "values": {"data": "pets"}}
    assert from_json(json.dumps(less)) == "Bad data pets"


@pytest.mark.parametrize(
    "broken", [{"template": "{x", "values": {}}, {"template": "{x}", "values": {}}]
)
def test_what_cannot_be_filled_in_is_shown_as_stored(broken: dict[str, object]) -> None:
    text = json.dumps({"reason": "?", **broken})
    assert from_json(text) == text


def test_an_error_of_a_server_is_stored_with_its_sentence() -> None:
    remote = RemoteError(reason="INVALID_DATA", sentence="{no} good", code="X", facts={"a": "b"})
    assert from_json(to_json(remote)) == "{no} good"


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'test.db'}"))


@pytest.fixture
def job(jobs: Jobs) -> str:
    """A job that failed with GONE."""
    facts = {"model": "0" * 64, "data": "pets", "epochs": 1, "lr": 0.1, "batch_size": 8}
    kinds = {"optimizer": "adamw", "loss": "cross_entropy", "device": "cpu", "precision": "fp32"}
    rest = {"workers": 1, "strategy": "full", "image_size": 32, "seed": 0}
    job_id = jobs.create(ResolvedSpec(Spec(**facts, **kinds, **rest), ())).id  # type: ignore[arg-type]
    jobs.end(job_id, State.FAILED, GONE)
    return job_id


@pytest.mark.parametrize(("language", "sentence"), [("en", ENGLISH), ("zh", CHINESE)])
async def test_a_jobs_error_and_its_event_are_said_to_each_reader(
    jobs: Jobs, job: str, language: str, sentence: str
) -> None:
    service = TuningServicer(jobs.store)
    speak(language)
    try:
        found = service.GetJob(tuning_pb2.GetJobRequest(id=job))
        events = [each async for each in service.WatchJob(tuning_pb2.WatchJobRequest(id=job))]
    finally:
        speak("en")
    assert (found.error_reason, found.error_message) == ("INVALID_DATA", sentence)
    assert found.last_event.message == events[-1].message == sentence


def test_a_job_of_before_is_still_read(jobs: Jobs, job: str) -> None:
    with jobs.store.session() as session:
        session.execute(update(JobRow).values(error_message="It stopped."))
    assert jobs.get(job).error_message == "It stopped."


# Sent


def sent(error: errors.NetgraftError, language: str) -> error_details_pb2.ErrorInfo:
    _, _, ((key, data),) = status_of(error, language)
    assert key == STATUS_KEY
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(data).details[0].Unpack(info)
    return info


@pytest.mark.parametrize(
    ("language", "problem"), [("en", "pets/1.png is gone."), ("zh", "pets/1.png 已不存在。")]
)
def test_the_values_travel_beside_the_sentence(language: str, problem: str) -> None:
    info = sent(GONE, language)
    assert info.reason == "INVALID_DATA"
    assert dict(info.metadata) == {"data": "pets", "problem": problem}


def test_long_values_do_not_fill_the_trailing_metadata() -> None:
    long = errors.InvalidData(data="猫" * 9999, problem=quoted("狗" * 9999))
    assert {len(value) for value in sent(long, "zh").metadata.values()} == {FACT}
    assert len(status_of(long, "zh")[2][0][1]) < 6_000
