"""A call that is sent again under its request_id makes one job (AIP-155)."""

import hashlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from netgraft.agent.record import Record, Start
from netgraft.client import Client, RemoteError
from netgraft.errors import JobNotResumable, RequestIdReused
from netgraft.store import requests
from netgraft.store.store import default_store
from netgraft.store.tables import JobRow, RequestRow
from netgraft.tuning import servicer
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import agent_pb2, models_pb2, surgery_pb2, tuning_pb2

from .server import serving
from .wire import Wire

TINY = "timm/test_resnet@none"
DAY = requests.KEPT_SECONDS


class Cluster:
    """A launcher that notes what it is asked for; a test ends the runs."""

    def __init__(self) -> None:
        self.submitted: list[str] = []
        self.stopped: list[str] = []
        self.begun = threading.Event()

    def capacity(self) -> Capacity:
        return Capacity(cpus=2, gpus=0)

    def submit(self, job_id: str, submission: str) -> None:
        self.submitted.append(submission)
        self.begun.set()

    def stop(self, submission: str) -> None:
        self.stopped.append(submission)

    def end(self, job_id: str) -> None:
        """Let a job end well, with the model that it began from."""
        jobs = Jobs(default_store())
        attempt = jobs.begin(job_id)
        jobs.succeed(job_id, attempt, jobs.get(job_id).spec.model, {"accuracy": 0.9})


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def client(state: Path, cluster: Cluster) -> Iterator[Client]:
    with (
        serving(launcher=cluster) as address,
        Client(address) as client,
    ):
        yield client


@pytest.fixture
def ten(client: Client) -> str:
    """A tiny model with a head for ten classes."""
    request = surgery_pb2.RetargetModelRequest(model=TINY, classes=10)
    return client.surgery.RetargetModel(request).model.id


def request_of(model: str, request_id: str = "", epochs: int = 1) -> tuning_pb2.StartTuningRequest:
    spec = tuning_pb2.TuningSpec(model=model, data="digits", epochs=epochs)
    return tuning_pb2.StartTuningRequest(spec=spec, request_id=request_id)


def made() -> int:
    """Jobs in the database."""
    with default_store().session() as session:
        return session.scalar(select(func.count()).select_from(JobRow)) or 0


def age(seconds: float) -> None:
    """Let everything that is remembered of calls be so much older."""
    with default_store().session() as session:
        session.execute(update(RequestRow).values(created=RequestRow.created - seconds))


def test_the_same_call_again_gives_the_same_job(client: Client, cluster: Cluster, ten: str) -> None:
    first = client.tuning.StartTuning(request_of(ten, "again"))
    cluster.end(first.id)
    second = client.tuning.StartTuning(request_of(ten, "again"))
    assert second.id == first.id
    assert second.state == tuning_pb2.JOB_STATE_SUCCEEDED, "the job is reported as it is now"
    assert (made(), cluster.submitted) == (1, [first.id])


def test_the_same_call_many_times_at_once_makes_one_job(
    client: Client, cluster: Cluster, ten: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        jobs = set(
            pool.map(lambda _: client.tuning.StartTuning(request_of(ten, "at once")).id, range(8))
        )
    assert len(jobs) == made() == len(cluster.submitted) == 1


def test_two_servers_with_one_database_make_one_job(
    client: Client, cluster: Cluster, ten: str
) -> None:
    """As two replicas would: nothing but the database is shared."""
    servicers = [TuningServicer(None, cluster) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        jobs = set(pool.map(lambda one: one.StartTuning(request_of(ten, "two")).id, servicers))
    assert len(jobs) == made() == 1


def test_another_call_with_the_same_id_is_an_error(client: Client, ten: str) -> None:
    client.tuning.StartTuning(request_of(ten, "mine"))
    with pytest.raises(RemoteError) as caught:
        client.tuning.StartTuning(request_of(ten, "mine", epochs=2))
    assert caught.value.kind is RequestIdReused
    assert caught.value.code == "INVALID_ARGUMENT"
    assert made() == 1


def test_after_a_day_the_id_is_free_and_nothing_is_kept_of_it(client: Client, ten: str) -> None:
    first = client.tuning.StartTuning(request_of(ten, "daily"))
    client.tuning.StartTuning(request_of(ten, "other"))
    age(DAY + 1)
    second = client.tuning.StartTuning(request_of(ten, "daily", epochs=2))
    assert second.id != first.id
    with default_store().session() as session:
        assert list(session.scalars(select(RequestRow.id))) == ["daily"]


def test_a_call_that_was_refused_leaves_its_id_free(client: Client, ten: str) -> None:
    with pytest.raises(RemoteError):
        client.tuning.StartTuning(request_of("resnet500", "free"))
    assert client.tuning.StartTuning(request_of(ten, "free")).id


def test_without_an_id_every_call_is_a_new_one(client: Client, ten: str) -> None:
    request = request_of(ten)
    first, second = client.tuning.StartTuning(request), client.tuning.StartTuning(request)
    assert first.id != second.id
    assert request.request_id == "", "what the caller passed in is not changed"
    with default_store().session() as session:
        stored = list(session.scalars(select(RequestRow.id)))
    assert len({uuid.UUID(each) for each in stored}) == 2, "the client named each of them"


@pytest.mark.parametrize("identity", ["x" * 65, "two\nlines", "\0"])
def test_an_unreadable_id_is_refused(client: Client, ten: str, identity: str) -> None:
    with pytest.raises(RemoteError) as caught:
        client.tuning.StartTuning(request_of(ten, identity))
    assert (caught.value.reason, caught.value.code) == ("INVALID_VALUE", "INVALID_ARGUMENT")


def test_a_job_is_resumed_once(client: Client, cluster: Cluster, ten: str) -> None:
    job = client.tuning.StartTuning(request_of(ten))
    Jobs(default_store()).end(job.id, State.CANCELLED)
    again = tuning_pb2.ResumeJobRequest(id=job.id, request_id="on")
    with ThreadPoolExecutor(4) as pool:
        attempts = {each.attempt for each in pool.map(client.tuning.ResumeJob, [again] * 4)}
    assert attempts == {2}
    assert cluster.submitted == [job.id, f"{job.id}-2"]
    with pytest.raises(RemoteError) as caught:
        client.tuning.ResumeJob(tuning_pb2.ResumeJobRequest(id=job.id, request_id="other"))
    assert caught.value.kind is JobNotResumable


def test_a_call_whose_reply_was_lost_is_sent_again_and_makes_one_job(
    client: Client, ten: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, calls = TuningServicer.StartTuning, []

    def losing(self: TuningServicer, request: tuning_pb2.StartTuningRequest) -> tuning_pb2.Job:
        calls.append(request.request_id)
        job = start(self, request)
        if len(calls) == 1:
            wire.cut()
        return job

    monkeypatch.setattr(TuningServicer, "StartTuning", losing)
    with Wire(client.address) as wire, Client(wire.address) as far:
        job = far.tuning.StartTuning(request_of(ten))
    assert len(calls) == 2
    assert len(set(calls)) == made() == 1
    assert job.id == Jobs(default_store()).newest()[0].id


# Plans


def plan(client: Client, *steps: agent_pb2.Step, talk: str = "talk") -> agent_pb2.RunRequest:
    """A Run of these steps, with leave."""
    asked = agent_pb2.ConsentRequest(steps=steps, conversation_id=talk)
    return agent_pb2.RunRequest(
        steps=steps,
        conversation_id=talk,
        consent_token=client.agent.Consent(asked).token,
        weights=models_pb2.WEIGHTS_POLICY_NONE,
        request_id="run",
    )


def retarget(classes: int) -> agent_pb2.Step:
    return agent_pb2.Step(retarget=agent_pb2.RetargetStep(model=TINY, classes=classes))


FINETUNE = agent_pb2.Step(finetune=agent_pb2.FinetuneStep(data="digits", epochs=1))
UNDO = agent_pb2.Step(undo=agent_pb2.UndoStep())


def durable(events: Iterator[agent_pb2.RunEvent]) -> list[agent_pb2.RunEvent]:
    return [event for event in events if not event.HasField("progress")]


def ending(cluster: Cluster) -> threading.Thread:
    """End the first job as soon as it is submitted."""

    def wait() -> None:
        assert cluster.begun.wait(60)
        cluster.end(cluster.submitted[0])

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


@pytest.fixture
def broken_after(client: Client) -> Callable[..., list[agent_pb2.RunEvent]]:
    """Run a plan and break the connection as soon as an event of a kind has come."""

    def run(request: agent_pb2.RunRequest, kind: str) -> list[agent_pb2.RunEvent]:
        seen, call = [], client.agent.Run(request)
        for event in call:
            seen.append(event)
            if event.WhichOneof("event") == kind:
                break
        call.close()  # type: ignore[attr-defined]
        return [event for event in seen if not event.HasField("progress")]

    return run


def test_a_plan_that_was_carried_out_is_reported_again(client: Client, cluster: Cluster) -> None:
    request = plan(client, retarget(10), FINETUNE)
    thread = ending(cluster)
    first = durable(client.agent.Run(request))
    thread.join()
    assert first[-1].finished.job.state == tuning_pb2.JOB_STATE_SUCCEEDED
    assert durable(client.agent.Run(request)) == first
    assert made() == 1
    talk = client.agent.GetConversation(agent_pb2.GetConversationRequest(id="talk"))
    assert [list(turn.events) for turn in talk.turns] == [first]


def test_an_interrupted_plan_continues_with_its_job(
    client: Client, cluster: Cluster, broken_after: Any
) -> None:
    request = plan(client, retarget(10), FINETUNE)
    before = broken_after(request, "progress")
    again = client.agent.Run(request)
    seen = [next(again) for _ in before]
    cluster.end(cluster.submitted[0])
    seen += durable(again)
    assert seen[: len(before)] == before, "what happened before is reported again"
    assert [event.WhichOneof("event") for event in seen] == ["started", "finished"] * 2
    assert seen[-1].finished.job.id == cluster.submitted[0]
    assert made() == 1


def test_the_same_plan_twice_at_once_is_carried_out_once(client: Client, cluster: Cluster) -> None:
    request = plan(client, retarget(10), FINETUNE)
    thread = ending(cluster)
    with ThreadPoolExecutor(3) as pool:
        shown = list(pool.map(lambda _: durable(client.agent.Run(request)), range(3)))
    thread.join()
    assert shown[0] == shown[1] == shown[2]
    assert (made(), len(cluster.submitted)) == (1, 1)


def test_an_edit_of_the_current_model_is_not_made_twice(client: Client, broken_after: Any) -> None:
    client.agent.Run(agent_pb2.RunRequest(steps=[retarget(7)], conversation_id="talk"))
    request = agent_pb2.RunRequest(
        steps=[retarget(3), UNDO, UNDO], conversation_id="talk", request_id="undo"
    )
    broken_after(request, "finished")
    kinds = [event.WhichOneof("event") for event in client.agent.Run(request)]
    assert kinds == ["started", "finished", "started", "finished", "started", "failed"]


def test_another_plan_with_the_same_id_is_an_error(client: Client) -> None:
    request = agent_pb2.RunRequest(steps=[retarget(3)], request_id="plan")
    list(client.agent.Run(request))
    with pytest.raises(RemoteError, match="used for another Run") as caught:
        list(client.agent.Run(agent_pb2.RunRequest(steps=[retarget(4)], request_id="plan")))
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_plan_that_lacked_consent_may_be_run_with_it(client: Client, cluster: Cluster) -> None:
    request = plan(client, retarget(10), FINETUNE)
    without = agent_pb2.RunRequest()
    without.CopyFrom(request)
    without.consent_token = ""
    with pytest.raises(RemoteError, match="consent"):
        list(client.agent.Run(without))
    thread = ending(cluster)
    assert durable(client.agent.Run(request))[-1].HasField("finished")
    thread.join()


# Files


def test_an_upload_under_the_id_of_another_file_is_refused(client: Client) -> None:
    def send(data: bytes, offset: int = 0) -> models_pb2.Upload:
        header = models_pb2.UploadHeader(
            sha256=hashlib.sha256(data).hexdigest(),
            name="net.pth",
            size=2 * len(data),
            offset=offset,
            request_id="file",
        )
        parts = [{"header": header}, {"data": data}]
        messages = (models_pb2.UploadFileRequest(**part) for part in parts)
        return client.models.UploadFile(messages)

    reasons = []
    for data, offset in ((b"some bytes", 0), (b"some bytes", 10), (b"others", 0)):
        with pytest.raises(RemoteError) as caught:
            send(data, offset)
        reasons.append(caught.value.reason)
    assert reasons == ["UPLOAD_INCOMPLETE", "WRONG_HASH", "REQUEST_ID_REUSED"]


def test_the_clients_own_uploads_are_named(client: Client, tmp_path: Path) -> None:
    from netgraft.sending import send

    file = tmp_path / "net.pth"
    file.write_bytes(b"no model")
    with pytest.raises(RemoteError):
        send(client.models, file)
    with default_store().session() as session:
        rpc, identity = session.execute(select(RequestRow.rpc, RequestRow.id)).one()
    assert rpc == "UploadFile"
    assert uuid.UUID(identity)


def test_a_run_older_than_a_day_that_still_runs_is_remembered(
    client: Client, cluster: Cluster, ten: str
) -> None:
    request = plan(client, retarget(10), FINETUNE)
    running = client.agent.Run(request)
    while not next(running).HasField("progress"):
        pass
    age(DAY + 1)
    client.tuning.StartTuning(request_of(ten, "sweeps"))
    with default_store().session() as session:
        assert session.get(RequestRow, _key(session, "run")) is not None
    cluster.end(cluster.submitted[0])
    assert durable(running)[-1].HasField("finished")


def _key(session: Any, identity: str) -> tuple[str, str, str]:
    row = session.execute(
        select(RequestRow.rpc, RequestRow.caller, RequestRow.id).where(RequestRow.id == identity)
    ).one()
    return tuple(row)


def test_a_repeated_call_takes_over_from_a_process_that_died(
    client: Client, cluster: Cluster, broken_after: Any
) -> None:
    request = plan(client, retarget(10), FINETUNE)
    broken_after(request, "progress")
    with default_store().session() as session:  # as if it had been killed while it held it
        session.execute(update(RequestRow).values(holder="dead", held_until=time.time() + 0.5))
    again = client.agent.Run(request)
    cluster.end(cluster.submitted[0])
    assert durable(again)[-1].HasField("finished")
    assert made() == 1


def test_a_run_whose_record_was_taken_over_continues_as_a_reader(
    client: Client, cluster: Cluster
) -> None:
    request = plan(client, retarget(10), FINETUNE)
    running = client.agent.Run(request)
    while not next(running).HasField("progress"):
        pass

    def hold(seconds: float) -> None:
        with default_store().session() as session:
            until = time.time() + seconds
            session.execute(update(RequestRow).values(holder="other", held_until=until))

    hold(60)
    cluster.end(cluster.submitted[0])
    released = threading.Timer(0.5, hold, [-1])
    released.start()
    last = durable(running)[-1]
    released.join()
    assert last.finished.job.id == cluster.submitted[0]
    assert made() == 1


@pytest.mark.parametrize("begun", [True, False])
def test_a_cancel_that_may_have_been_carried_out_before_is_no_error(
    client: Client, ten: str, begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "CANCEL_SECONDS", 0.1)  # there is no run that could end by itself
    job = client.tuning.StartTuning(request_of(ten))
    request = plan(client, agent_pb2.Step(cancel=agent_pb2.JobStep(job=job.id)))
    if begun:  # as by a process that was killed between the cancel and the next event
        call = requests.asked("Run", request, client.token)
        assert call is not None
        record = Record(default_store(), call)
        assert record.open(Start(), lambda _: None).held
        started = agent_pb2.StepStarted(index=1, total=1, step=request.steps[0])
        record.add(agent_pb2.RunEvent(started=started))
        record.leave()
    client.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=job.id))
    last = durable(client.agent.Run(request))[-1]
    if begun:
        assert last.finished.job.state == tuning_pb2.JOB_STATE_CANCELLED
    else:
        assert last.failed.reason == "JOB_NOT_RUNNING"
