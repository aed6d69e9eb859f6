"""Servicer, network and client together: what goes in comes out, errors keep their reason."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import cloudpickle
import grpc
import pytest

from netgraft.client import AsyncClient, RemoteError
from netgraft.errors import NetgraftError, Unauthenticated, UnknownModel, Unreachable
from netgraft.serving.servicers import caller, expose
from netgraft.settings import settings
from netgraft.v1 import models_pb2, models_pb2_grpc

MODELS = models_pb2.DESCRIPTOR.services_by_name["Models"]


class Servicer:
    """A servicer with one method of each kind that `expose` knows."""

    def ResolveModel(self, request: models_pb2.ResolveModelRequest) -> models_pb2.Model:
        if request.model == "bug":
            raise KeyError("/secret/path")
        if request.model != "resnet50":
            raise UnknownModel(name=request.model, hint="Hint.")
        return models_pb2.Model(id="1", title=caller().language)

    async def GetModel(self, request: models_pb2.GetModelRequest) -> models_pb2.Model:
        return models_pb2.Model(id=request.id)

    async def ListModels(self, request: models_pb2.ListModelsRequest) -> Any:
        return models_pb2.ListModelsReply(total=request.limit)

    def ExportModel(self, request: models_pb2.ExportModelRequest) -> Iterator[Any]:
        yield models_pb2.FileChunk(name="a")
        if request.format == "bug":
            raise KeyError("/secret/path")
        if request.format:
            raise UnknownModel(name="later", hint="Hint.")
        yield models_pb2.FileChunk(data=b"b")

    def GetUpload(self, request: models_pb2.GetUploadRequest) -> models_pb2.Upload:
        return models_pb2.Upload(sha256=request.sha256)

    def UploadFile(self, requests: Iterable[models_pb2.UploadFileRequest]) -> models_pb2.Upload:
        received = 0
        for request in requests:
            if request.data == b"bad":
                raise UnknownModel(name="sent", hint="Hint.")
            received += len(request.data)
        return models_pb2.Upload(received_bytes=received, sha256=caller().language)

    def PrefetchWeights(self, request: models_pb2.PrefetchWeightsRequest) -> Iterator[Any]:
        yield models_pb2.PrefetchProgress(base=request.model)


class Network(models_pb2_grpc.ModelsServicer):
    """The exposed class behind a plain grpc.aio server, as Ray Serve would call it."""

    def __init__(self) -> None:
        self.exposed = expose(Servicer, MODELS)()

    async def ResolveModel(self, request: Any, context: Any) -> Any:
        return await self.exposed.ResolveModel(request, context)

    async def GetModel(self, request: Any, context: Any) -> Any:
        return await self.exposed.GetModel(request, context)

    async def ListModels(self, request: Any, context: Any) -> Any:
        return await self.exposed.ListModels(request, context)

    async def UploadFile(self, requests: Any, context: Any) -> Any:
        return await self.exposed.UploadFile(requests, context)

    async def ExportModel(self, request: Any, context: Any) -> AsyncIterator[Any]:
        try:
            async for item in self.exposed.ExportModel(request, context):
                yield item
        except NetgraftError:  # Ray Serve ends the call with what was set, less the metadata
            context.set_trailing_metadata(())
            await context.abort(context.code(), context.details())


@pytest.fixture
async def address(state: object) -> AsyncIterator[str]:
    settings().make_token()
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    models_pb2_grpc.add_ModelsServicer_to_server(Network(), server)
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def test_every_kind_of_method_answers(address: str) -> None:
    async with AsyncClient(address, language="zh") as client:
        model = await client.models.ResolveModel(models_pb2.ResolveModelRequest(model="resnet50"))
        assert model.title == "zh", "the servicer knows the caller's language"
        got = await client.models.GetModel(models_pb2.GetModelRequest(id="x"))
        assert got.id == "x"
        chunks = [c async for c in client.models.ExportModel(models_pb2.ExportModelRequest())]
        assert [c.name or c.data for c in chunks] == ["a", b"b"]


async def test_an_error_keeps_reason_status_and_language(address: str) -> None:
    for language, words in (("en", "There is no model 'x'"), ("zh", "没有名为 'x'")):
        async with AsyncClient(address, language=language) as client:
            with pytest.raises(RemoteError) as error:
                await client.models.ResolveModel(models_pb2.ResolveModelRequest(model="x"))
            assert (error.value.reason, error.value.code) == ("UNKNOWN_MODEL", "NOT_FOUND")
            assert words in str(error.value)
            assert error.value.kind is UnknownModel


async def test_a_stream_that_fails_keeps_what_came_and_the_reason(address: str) -> None:
    async with AsyncClient(address) as client:
        seen = []
        with pytest.raises(RemoteError) as error:
            async for chunk in client.models.ExportModel(models_pb2.ExportModelRequest(format="x")):
                seen.append(chunk.name)  # what came before the error counts
        assert seen == ["a"]
        assert error.value.reason == "UNKNOWN_MODEL"


async def test_a_client_may_stream_and_is_told_of_an_error_on_the_way(address: str) -> None:
    def parts(*data: bytes) -> Iterator[models_pb2.UploadFileRequest]:
        return (models_pb2.UploadFileRequest(data=each) for each in data)

    async with AsyncClient(address, language="zh") as client:
        done = await client.models.UploadFile(parts(b"ab", b"c", b""))
        assert (done.received_bytes, done.sha256) == (3, "zh")
        with pytest.raises(RemoteError) as error:
            await client.models.UploadFile(parts(b"ab", b"bad", *[b"c" * 2**20] * 20))
        assert error.value.reason == "UNKNOWN_MODEL"


async def test_a_stranger_who_streams_for_ever_is_not_listened_to(address: str) -> None:
    sent: list[int] = []

    def forever() -> Iterator[models_pb2.UploadFileRequest]:
        while len(sent) < 1000:
            sent.append(1)
            yield models_pb2.UploadFileRequest(data=b"x" * 1000)
            time.sleep(0.01)

    def call() -> grpc.StatusCode:
        with grpc.insecure_channel(address) as channel:
            upload = models_pb2_grpc.ModelsStub(channel).UploadFile
            with pytest.raises(grpc.RpcError) as error:
                upload(forever(), metadata=[("authorization", "Bearer wrong")])
        assert isinstance(error.value, grpc.Call)
        return error.value.code()

    assert await asyncio.to_thread(call) is grpc.StatusCode.UNAUTHENTICATED
    assert len(sent) < 500, "cut off before all was sent"


async def test_a_bug_is_told_without_its_details(address: str) -> None:
    async with AsyncClient(address) as client:
        with pytest.raises(RemoteError) as error:
            await client.models.ResolveModel(models_pb2.ResolveModelRequest(model="bug"))
        assert error.value.reason == "INTERNAL"
        assert "secret" not in json.dumps([str(error.value), repr(error.value.values)])


@pytest.mark.parametrize("token", ["wrong", "令牌"])
async def test_a_wrong_token_is_refused(address: str, token: str) -> None:
    metadata = grpc.aio.Metadata(("authorization", "Bearer " + token.encode().hex()))
    async with grpc.aio.insecure_channel(address) as channel:
        stub = models_pb2_grpc.ModelsStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await stub.GetModel(models_pb2.GetModelRequest(), metadata=metadata)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert Unauthenticated().sentence() in str(error.value.details())


async def test_a_server_that_is_not_there_is_said_to_be_unreachable(state: object) -> None:
    async with AsyncClient("127.0.0.1:9", "token") as client:
        with pytest.raises(Unreachable, match="netgraft up"):
            await client.models.GetModel(models_pb2.GetModelRequest())


def test_a_servicer_with_a_hole_is_found_when_it_is_built() -> None:
    class Holed:
        def ResolveModel(self) -> None: ...

    with pytest.raises(TypeError, match="GetModel, ListModels, ExportModel"):
        expose(Holed, MODELS)


def test_the_exposed_class_can_be_shipped_to_another_process() -> None:
    kind = cloudpickle.loads(cloudpickle.dumps(expose(Servicer, MODELS)))
    assert callable(kind().ResolveModel)


def test_a_token_is_made_once_and_readable_by_its_owner_only(state: object) -> None:
    token = settings().make_token()
    assert len(token) >= 32
    assert settings().make_token() == token
    assert (settings().folder / "token").stat().st_mode & 0o777 == 0o600
