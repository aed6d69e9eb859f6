"""The guard before every rpc, on a plain gRPC server: strangers, stray calls, size and form.

tests/e2e/test_strangers.py tries the same before Ray Serve.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, ClassVar

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from netgraft.client import AsyncClient, as_error
from netgraft.errors import MessageTooLarge, StillStarting, UnknownModel, Unreachable
from netgraft.serving.guard import MESSAGE_BYTES, RECEIVE_OPTIONS, Guard
from netgraft.serving.servicers import expose
from netgraft.settings import settings
from netgraft.v1 import agent_pb2, agent_pb2_grpc, models_pb2, models_pb2_grpc

MODELS = models_pb2.DESCRIPTOR.services_by_name["Models"]
AGENT = agent_pb2.DESCRIPTOR.services_by_name["Agent"]

GARBAGE = {
    "no field": b"\xff" * 9,
    "cut off": b"\x0a\xff",
    "no UTF-8": b"\x0a\x03\xff\xfe\xfd",
    "no bytes": b"",
}
UNARY = "/netgraft.v1.Models/GetModel"
SERVER_STREAM = "/netgraft.v1.Models/ExportModel"
CLIENT_STREAM = "/netgraft.v1.Models/UploadFile"
EACH = [UNARY, SERVER_STREAM, CLIENT_STREAM]


class Models:
    """A servicer that records the calls that reach it."""

    reached: ClassVar[list[str]] = []

    def GetModel(self, request: models_pb2.GetModelRequest) -> models_pb2.Model:
        self.reached.append("GetModel")
        return models_pb2.Model(id=request.id)

    def ExportModel(self, request: models_pb2.ExportModelRequest) -> Iterator[Any]:
        self.reached.append("ExportModel")
        yield models_pb2.FileChunk(name="a")
        if request.format:
            raise UnknownModel(name="later", hint="Hint.")

    def UploadFile(self, requests: Iterable[models_pb2.UploadFileRequest]) -> models_pb2.Upload:
        self.reached.append("UploadFile")
        return models_pb2.Upload(received_bytes=sum(len(each.data) for each in requests))

    ResolveModel = ListModels = PrefetchWeights = GetUpload = GetModel


class Agent:
    def Plan(self, request: agent_pb2.PlanRequest) -> agent_pb2.PlannerReply:
        return agent_pb2.PlannerReply()

    Consent = Run = GetConversation = Plan


@pytest.fixture
async def address(state: object) -> AsyncIterator[str]:
    settings().make_token()
    Models.reached.clear()
    server = grpc.aio.server(interceptors=[Guard()], options=RECEIVE_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    models_pb2_grpc.add_ModelsServicer_to_server(expose(Models, MODELS)(), server)
    agent_pb2_grpc.add_AgentServicer_to_server(expose(Agent, AGENT)(), server)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


def metadata(application: str | None = "models", token: str | None = "", **more: str) -> list[Any]:
    """The metadata of a call. A token of "" means the right one."""
    found: list[Any] = list(more.items())
    if token is not None:
        found.append(("authorization", f"Bearer {token or settings().read_token()}"))
    if application is not None:
        found.append(("application", application))
    return found


async def call(address: str, path: str, *messages: bytes, **options: Any) -> grpc.aio.AioRpcError:
    """Send bytes as they are; returns how the call failed."""
    channel_options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, channel_options) as channel:
        streams = {SERVER_STREAM: channel.unary_stream, CLIENT_STREAM: channel.stream_unary}
        method = streams.get(path, channel.unary_unary)(path)
        sent = iter(messages) if path == CLIENT_STREAM else messages[0]
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            answer = method(sent, timeout=30, **options)
            if path == SERVER_STREAM:
                _ = [item async for item in answer]
            else:
                await answer
    return failed.value


def reason(failure: grpc.aio.AioRpcError) -> str:
    """The constant reason in a failed call's status."""
    status = rpc_status.from_call(failure)
    info = error_details_pb2.ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return str(info.reason)


@pytest.mark.parametrize("path", EACH)
@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize("application", ["models", "agent", "nobody", None])
@pytest.mark.parametrize("body", GARBAGE.values(), ids=GARBAGE)
async def test_a_stranger_learns_that_a_token_is_needed_and_nothing_else(
    address: str, path: str, token: str | None, application: str | None, body: bytes
) -> None:
    failure = await call(address, path, body, metadata=metadata(application, token))
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED
    assert reason(failure) == "UNAUTHENTICATED"
    assert Models.reached == []


async def test_a_stranger_does_not_learn_which_rpcs_there_are(address: str) -> None:
    for path in ("/netgraft.v1.Models/Nothing", "/netgraft.v1.Nothing/GetModel", "/x", "/"):
        failure = await call(address, path, b"", metadata=metadata(token=None))
        assert failure.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", EACH)
@pytest.mark.parametrize("application", ["agent", "nobody", "", "Models", "MODELS", None])
async def test_an_rpc_of_another_application_names_its_own(
    address: str, path: str, application: str | None
) -> None:
    failure = await call(address, path, b"", metadata=metadata(application))
    assert (failure.code(), reason(failure)) == (grpc.StatusCode.NOT_FOUND, "WRONG_APPLICATION")
    assert "`application: models`" in str(failure.details())
    assert Models.reached == []


async def test_an_rpc_that_is_not_there_is_unimplemented(address: str) -> None:
    for path in ("/netgraft.v1.Models/Nothing", "/netgraft.v1.Nothing/GetModel", "/x/y"):
        failure = await call(address, path, b"", metadata=metadata())
        assert (failure.code(), reason(failure)) == (
            grpc.StatusCode.UNIMPLEMENTED,
            "UNKNOWN_METHOD",
        )


@pytest.mark.parametrize("path", EACH)
@pytest.mark.parametrize("body", [GARBAGE["no field"], GARBAGE["cut off"]])
async def test_bytes_that_are_no_message_are_an_invalid_argument_in_both_languages(
    address: str, path: str, body: bytes
) -> None:
    for language, words in (("en", "are not a message"), ("zh", "不是")):
        options = metadata(**{"accept-language": language})
        failure = await call(address, path, body, metadata=options)
        assert failure.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason(failure) == "NOT_A_MESSAGE"
        assert words in str(failure.details())
        assert path.rpartition("/")[2] in str(failure.details())
        assert "class" not in str(failure.details())


async def test_a_stream_may_hold_no_message_at_its_end(address: str) -> None:
    good = models_pb2.UploadFileRequest(data=b"good").SerializeToString()
    failure = await call(address, CLIENT_STREAM, good, b"\xff" * 9, metadata=metadata())
    assert (failure.code(), reason(failure)) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "NOT_A_MESSAGE",
    )


@pytest.mark.parametrize("token", ["", None])
@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
async def test_a_message_beyond_the_limit_is_refused_by_its_size(
    address: str, token: str | None, compression: grpc.Compression | None
) -> None:
    """Compressed ones, too: they are small until they are unpacked."""
    body = b"\x0a" + bytes(MESSAGE_BYTES)
    failure = await call(
        address, UNARY, body, metadata=metadata(token=token), compression=compression
    )
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert isinstance(as_error(failure, address), MessageTooLarge)
    assert Models.reached == []


async def test_our_client_says_so_before_it_sends(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(MessageTooLarge, match="at most 8 MiB"):
            await client.models.GetModel(models_pb2.GetModelRequest(id="x" * MESSAGE_BYTES))


async def test_a_reply_may_be_larger_than_a_request(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = models_pb2.Model(title="x" * (MESSAGE_BYTES + 1))
    monkeypatch.setattr(Models, "GetModel", lambda self, request: large)
    async with AsyncClient(address) as client:
        assert await client.models.GetModel(models_pb2.GetModelRequest(id="1")) == large


async def test_nothing_of_a_strangers_stream_is_read(address: str) -> None:
    """They may send as long as they like: what fills up is their side of the connection."""
    sent: list[int] = []

    def forever() -> Iterator[bytes]:
        while len(sent) < 200:
            sent.append(1)
            yield bytes(2**20)

    def upload() -> grpc.StatusCode:
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as failed:
            channel.stream_unary(CLIENT_STREAM)(forever(), timeout=30)
        assert isinstance(failed.value, grpc.Call)
        return failed.value.code()

    assert await asyncio.to_thread(upload) is grpc.StatusCode.UNAUTHENTICATED
    assert len(sent) < 100, "cut off before all was sent"
    assert Models.reached == []


async def test_what_is_refused_leaves_no_line_in_any_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="grpc"), caplog.at_level(logging.INFO):
        for path in (*EACH, "/netgraft.v1.Models/Nothing"):
            for token in (None, ""):
                await call(address, path, b"\xff" * 9, metadata=metadata("agent", token))
            await call(address, path, b"\xff" * 9, metadata=metadata())
    assert [record for record in caplog.records if record.levelno >= logging.INFO] == []


async def test_an_error_within_a_stream_keeps_its_reason_in_the_status(address: str) -> None:
    body = models_pb2.ExportModelRequest(format="x").SerializeToString()
    failure = await call(address, SERVER_STREAM, body, metadata=metadata())
    assert (failure.code(), reason(failure)) == (grpc.StatusCode.NOT_FOUND, "UNKNOWN_MODEL")


async def test_an_application_that_is_not_up_yet_is_unreachable_to_our_client(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def starting(self: Models, request: object) -> None:
        raise StillStarting(application="models")

    monkeypatch.setattr(Models, "GetModel", starting)
    failure = await call(address, UNARY, b"", metadata=metadata())
    assert (failure.code(), reason(failure)) == (grpc.StatusCode.UNAVAILABLE, "STILL_STARTING")
    assert isinstance(as_error(failure, address), Unreachable)


async def test_one_who_has_the_token_is_served(address: str) -> None:
    async with AsyncClient(address) as client:
        got = await client.models.GetModel(models_pb2.GetModelRequest(id="x"))
        assert got.id == "x"
        parts = (models_pb2.UploadFileRequest(data=bytes(2**20)) for _ in range(20))
        assert (await client.models.UploadFile(parts)).received_bytes == 20 * 2**20


@pytest.mark.parametrize("header", ["Bearer ", "Bearer", "", " ", "bearer  "])
async def test_a_server_without_a_token_lets_nobody_in(address: str, header: str) -> None:
    (settings().folder / "token").write_text("")
    options = metadata(token=None, authorization=header)
    failure = await call(address, UNARY, b"", metadata=options)
    assert failure.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_what_is_no_http2_at_all_does_no_harm(address: str) -> None:
    host, _, port = address.rpartition(":")
    for raw in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 100, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff"):
        with socket.create_connection((host, int(port)), timeout=10) as stranger:
            stranger.sendall(raw)
    async with AsyncClient(address) as client:
        await client.models.GetModel(models_pb2.GetModelRequest(id="x"))
