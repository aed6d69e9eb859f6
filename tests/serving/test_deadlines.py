"""A server that takes calls and never answers is noticed, by both kinds of client."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import pytest

from netgraft import deadlines
from netgraft.client import AsyncClient, Client
from netgraft.errors import NetgraftError, NoAnswer
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2


class Hung(grpc.GenericRpcHandler):
    """Takes any call, and answers when the test is over. `answers`: the rpcs that it does."""

    def __init__(self, *answers: str) -> None:
        self.over = threading.Event()
        self.answers = answers
        self.asked: list[str] = []

    def service(self, call: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any]":
        name = call.method.rpartition("/")[2]
        self.asked.append(name)

        def handle(_: bytes, __: grpc.ServicerContext) -> bytes:
            if name not in self.answers:
                self.over.wait(60)
            return b""

        def stream(request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            yield from [handle(request, context)] if name in self.answers else []
            self.over.wait(60)

        def take(requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
            return handle(next(requests), context)

        if name == "UploadFile":
            return grpc.stream_unary_rpc_method_handler(take)
        if name in ("WatchJob", "ExportModel"):
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(handle)


@pytest.fixture
def hung(request: pytest.FixtureRequest) -> Iterator[tuple[str, Hung]]:
    """The address of a server that hangs, and what it has heard."""
    handler = Hung(*getattr(request, "param", ()))
    pool = futures.ThreadPoolExecutor(20)
    server = grpc.server(pool, handlers=[handler])
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield address, handler
    handler.over.set()
    server.stop(0).wait()
    pool.shutdown()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that a server which never answers misses in any case."""
    monkeypatch.setattr(deadlines, "READ_SECONDS", 0.1)
    monkeypatch.setattr(deadlines, "WORK_SECONDS", 20.0)
    monkeypatch.setattr(deadlines, "SILENCE_SECONDS", 0.1)


@pytest.fixture
def impatient(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines that one which answers keeps."""
    monkeypatch.setattr(deadlines, "READ_SECONDS", 0.25)
    monkeypatch.setattr(deadlines, "SILENCE_SECONDS", 0.25)


READ = ("tuning", "ListJobs", tuning_pb2.ListJobsRequest())
EDIT = ("surgery", "RetargetModel", surgery_pb2.RetargetModelRequest(model="resnet50", classes=3))
WATCH = ("tuning", "WatchJob", tuning_pb2.WatchJobRequest(id="tune-1"))
Call = tuple[str, str, Any]


def ask(address: str, call: Call, **options: Any) -> None:
    """Make a call, and take the first message when it is a stream."""
    application, rpc, request = call
    with Client(address, "token") as client:
        reply = getattr(getattr(client, application), rpc)(request, **options)
        if rpc == "WatchJob":
            list(reply)


async def ask_async(address: str, call: Call, **options: Any) -> None:
    application, rpc, request = call
    async with AsyncClient(address, "token") as client:
        reply = getattr(getattr(client, application), rpc)(request, **options)
        if rpc == "WatchJob":
            async for _ in reply:
                pass
        else:
            await reply


@pytest.mark.parametrize("call", [READ, EDIT, WATCH], ids=lambda call: call[1])
def test_no_call_waits_for_ever(hung: tuple[str, Hung], hasty: None, call: Call) -> None:
    address, handler = hung
    with pytest.raises(NoAnswer, match=f"{address} did not answer within 0.*netgraft doctor"):
        ask(address, call)
    assert handler.asked[-1] in ("ListJobs", "ListModels"), "something small was asked"


@pytest.mark.parametrize("call", [READ, EDIT, WATCH], ids=lambda call: call[1])
async def test_no_call_of_the_page_waits_for_ever(
    hung: tuple[str, Hung], hasty: None, call: Call
) -> None:
    address, handler = hung
    with pytest.raises(NoAnswer, match=f"{address} did not answer within 0.*netgraft doctor"):
        await ask_async(address, call)
    assert handler.asked[-1] in ("ListJobs", "ListModels"), "something small was asked"


@pytest.mark.parametrize("hung", [["WatchJob"]], indirect=True)
def test_a_stream_that_breaks_off_in_the_middle_is_noticed(
    hung: tuple[str, Hung], impatient: None
) -> None:
    with Client(hung[0], "token") as client:
        events = client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id="tune-1"))
        next(events)
        with pytest.raises(NoAnswer):
            next(events)


def test_an_upload_to_a_server_that_hangs_is_noticed(hung: tuple[str, Hung], hasty: None) -> None:
    with Client(hung[0], "token") as client, pytest.raises(NoAnswer):
        client.models.UploadFile(iter([models_pb2.UploadFileRequest(data=b"x")]))


@pytest.mark.parametrize("hung", [["ListJobs", "ListModels"]], indirect=True)
@pytest.mark.parametrize("call", [EDIT, WATCH], ids=lambda call: call[1])
def test_work_that_takes_long_is_waited_for_while_the_server_answers(
    hung: tuple[str, Hung], impatient: None, call: Call
) -> None:
    address, handler = hung
    failures: list[NetgraftError] = []

    def wait() -> None:
        try:
            ask(address, call)
        except NetgraftError as failure:
            failures.append(failure)

    thread = threading.Thread(target=wait)
    thread.start()
    while len([rpc for rpc in handler.asked if rpc.startswith("List")]) < 3:
        assert thread.is_alive(), failures
        thread.join(0.02)
    handler.over.set()
    thread.join(30)
    assert not thread.is_alive()
    assert failures == []


def test_a_caller_may_say_how_long_to_wait(hung: tuple[str, Hung]) -> None:
    for call in (READ, EDIT):
        with pytest.raises(NoAnswer, match=r"within 0\.1 s"):
            ask(hung[0], call, timeout=0.1)


async def test_a_caller_of_the_page_may_say_how_long_to_wait(hung: tuple[str, Hung]) -> None:
    with pytest.raises(NoAnswer, match=r"within 0\.3 s"):
        await ask_async(hung[0], EDIT, timeout=0.3)


async def test_a_task_that_is_cancelled_is_no_silent_server(hung: tuple[str, Hung]) -> None:
    address, handler = hung
    task = asyncio.create_task(ask_async(address, WATCH))
    while not handler.asked:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_what_only_reads_is_named_as_in_the_contract() -> None:
    contract = {
        rpc.name
        for file in (models_pb2, graph_pb2, surgery_pb2, tuning_pb2, agent_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
        for rpc in service.methods
    }
    assert contract >= deadlines.READS
    assert deadlines.seconds("StartTuning") == deadlines.WORK_SECONDS > deadlines.READ_SECONDS
