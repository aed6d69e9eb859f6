"""The services of this process: streams that come to their end, and streams that are left."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from netgraft.cli.services import InProcessServices
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import agent_pb2, tuning_pb2

PLAN = agent_pb2.RunRequest(
    steps=[
        agent_pb2.Step(list_models=agent_pb2.ListModelsStep(query="resnet18")),
        agent_pb2.Step(list_jobs=agent_pb2.ListJobsStep()),
    ]
)
WATCH = tuning_pb2.WatchJobRequest(id="tune-1")


class Waiting:
    """A stream that says one thing and then nothing for long."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.closed = False

        async def watch(_: object, __: object) -> AsyncIterator[tuning_pb2.JobEvent]:
            try:
                yield tuning_pb2.JobEvent(seq=1)
                await asyncio.sleep(60)
            finally:
                self.closed = True

        monkeypatch.setattr(TuningServicer, "WatchJob", watch)


@pytest.fixture
def waiting(state: Path, monkeypatch: pytest.MonkeyPatch) -> Waiting:
    return Waiting(monkeypatch)


def test_a_plan_is_carried_out_by_the_services_of_this_process(state: Path) -> None:
    events = list(InProcessServices().agent.Run(PLAN))
    assert [event.WhichOneof("event") for event in events] == ["started", "finished"] * 2
    assert events[1].finished.models.entries[0].name == "resnet18"


def test_an_abandoned_stream_is_closed(waiting: Waiting) -> None:
    events = InProcessServices().tuning.WatchJob(WATCH)
    assert next(events).seq == 1
    events.close()  # type: ignore[attr-defined]
    assert waiting.closed


def test_ctrl_c_ends_a_stream_that_waits(waiting: Waiting) -> None:
    events = InProcessServices().tuning.WatchJob(WATCH)
    assert next(events).seq == 1
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with pytest.raises(KeyboardInterrupt):
            next(events)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert waiting.closed
