"""The gRPC client, synchronous and asyncio.

    from netgraft.client import Client
    from netgraft.v1 import models_pb2

    with Client() as netgraft:
        print(netgraft.models.ResolveModel(models_pb2.ResolveModelRequest(model="resnet50")))

The attributes `models`, `graphs`, `surgery`, `tuning` and `agent` are the generated
stubs. Every call carries the token, the language and Ray Serve's routing key; a failed one raises
a RemoteError with the server's reason and sentence. A unary call has a deadline in seconds
(`deadlines.seconds`, or the argument `timeout`). A server that falls silent raises NoAnswer, in
streams too, of which WatchJob and Run go on where they broke off. Knows nothing of torch and Ray.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import aclosing, asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from netgraft import deadlines
from netgraft.errors import (
    MessageTooLarge,
    NetgraftError,
    NoAnswer,
    StillStarting,
    Unauthenticated,
    Unreachable,
    every_error,
)
from netgraft.loopback import is_loopback
from netgraft.repeating import PAUSE_SECONDS, Stream, with_request_id
from netgraft.serving.guard import MESSAGE_BYTES
from netgraft.settings import settings
from netgraft.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    graph_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    surgery_pb2_grpc,
    tuning_pb2,
    tuning_pb2_grpc,
)

if TYPE_CHECKING:
    # The asyncio stubs exist for the type checker only; at run time both kinds are one class.
    from netgraft.v1.agent_pb2_grpc import AgentAsyncStub
    from netgraft.v1.graph_pb2_grpc import GraphsAsyncStub
    from netgraft.v1.models_pb2_grpc import ModelsAsyncStub
    from netgraft.v1.surgery_pb2_grpc import SurgeryAsyncStub
    from netgraft.v1.tuning_pb2_grpc import TuningAsyncStub

RETRIED = {
    "name": [
        {"service": "netgraft.v1.Tuning", "method": "StartTuning"},
        {"service": "netgraft.v1.Tuning", "method": "ResumeJob"},
        {"service": "netgraft.v1.Agent", "method": "Run"},
    ],
    "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "0.3s",
        "maxBackoff": "2s",
        "backoffMultiplier": 3,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}
"""gRPC's retry policy (gRFC A6) for calls with a request_id, which makes a repetition safe."""

OPTIONS: list[tuple[str, int | str]] = [
    ("grpc.max_send_message_length", MESSAGE_BYTES),  # no server accepts more
    # A server that comes back is found within seconds, not after gRPC's two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # gRPC may repeat a request with a request_id when the connection breaks.
    ("grpc.service_config", json.dumps({"methodConfig": [RETRIED]})),
]


def _options(address: str) -> list[tuple[str, int | str]]:
    """Return a channel's options. gRPC would use $http_proxy even for this machine's addresses."""
    near = is_loopback(address.rpartition(":")[0])
    # A user's file goes to the page that shows it in one message.
    largest = max(64 * 2**20, settings().file_bytes + 2**20)
    common = [*OPTIONS, ("grpc.max_receive_message_length", largest)]
    return [*common, ("grpc.enable_http_proxy", 0)] if near else common


STUBS: dict[str, Any] = {
    "models": models_pb2_grpc.ModelsStub,
    "graphs": graph_pb2_grpc.GraphsStub,
    "surgery": surgery_pb2_grpc.SurgeryStub,
    "tuning": tuning_pb2_grpc.TuningStub,
    "agent": agent_pb2_grpc.AgentStub,
}
"""The stub of each Serve application."""

NO_SERVER_CODES = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND)
TIMED_OUT = grpc.StatusCode.DEADLINE_EXCEEDED

PROBES: dict[str, tuple[str, Any]] = {
    "models": ("ListModels", models_pb2.ListModelsRequest(limit=1)),
    "tuning": ("ListJobs", tuning_pb2.ListJobsRequest(limit=1)),
    "agent": ("GetConversation", agent_pb2.GetConversationRequest(id="-")),
}
"""The rpc and request that test whether an application answers while a call to it is silent."""

_OVERSIZE = re.compile(r"(CLIENT: Sent|SERVER: Received|.*Decompressed) message larger than max")
"""gRPC's message for too large a request; that for a reply begins "CLIENT: Received"."""

_REASONS = {kind.reason: kind for kind in every_error()}


class RemoteError(NetgraftError):
    """An error that the server reported: its `reason`, its sentence and the sentence's values."""

    template = "{sentence}"

    def __init__(
        self, *, reason: str, sentence: str, code: str, facts: dict[str, str] | None = None
    ) -> None:
        self.reason = reason  # type: ignore[misc]  # the server's, not this class's
        self.code, self._sentence, self.facts = code, sentence, facts or {}
        super().__init__(reason=reason, sentence=sentence, code=code, facts=self.facts)

    def sentence(self, language: str = "en") -> str:
        return self._sentence

    @property
    def kind(self) -> type[NetgraftError]:
        """The class of the error tree that the reason belongs to."""
        return _REASONS.get(self.reason, NetgraftError)


def as_error(failure: grpc.RpcError, address: str, seconds: float = 0) -> NetgraftError:
    """Return a failed call as an error of the tree. `seconds`: the deadline that it had."""
    ended = isinstance(failure, grpc.Call | grpc.aio.AioRpcError)
    code = failure.code() if ended else None
    detail = (failure.details() if ended else "") or ""
    if remote := _with_reason(failure, code, detail):
        starting = remote.reason == StillStarting.reason
        return Unreachable(address=address) if starting else remote
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return Unauthenticated()
    # Our own NOT_FOUND carries a reason. One without comes from a Ray Serve without our guard,
    # for an application that is not deployed (yet).
    if code in NO_SERVER_CODES:
        return Unreachable(address=address)
    if code is TIMED_OUT:
        return NoAnswer(address=address, seconds=f"{seconds:g}")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and _OVERSIZE.match(detail):
        return MessageTooLarge(limit=f"{MESSAGE_BYTES // 2**20} MiB")
    name = code.name if code else "UNKNOWN"
    return RemoteError(reason=name, sentence=detail or name, code=name)


def _with_reason(failure: Any, code: grpc.StatusCode | None, detail: str) -> RemoteError | None:
    """Return the error that the server reported; None if it did not come from netgraft."""
    if code is None:
        return None
    info = error_details_pb2.ErrorInfo()
    for packed in getattr(_status(failure), "details", ()):
        if packed.Unpack(info):
            facts = dict(info.metadata)
            return RemoteError(reason=info.reason, sentence=detail, code=code.name, facts=facts)
    sentence, _, reason = detail.removesuffix(")").rpartition(" (")
    if reason in _REASONS:  # a failed stream: see serving.servicers.fail
        return RemoteError(reason=reason, sentence=sentence, code=code.name)
    return None


def _status(failure: Any) -> Any:
    """Return the call's google.rpc.Status, if any."""
    try:
        return rpc_status.from_call(failure)
    except ValueError:  # the server's details contradict its status
        return None


class _Service:
    """One service's stub, which adds metadata to every call and raises errors of the tree."""

    def __init__(self, channel: Any, application: str, client: "_Connection") -> None:
        self._stub = STUBS[application](channel)
        self._client = client
        self._metadata = _metadata(application, client)
        probed = application if application in PROBES else "models"
        rpc, self._probe_request = PROBES[probed]
        self._probe = getattr(STUBS[probed](channel), rpc)
        self._probe_options = {
            "timeout": deadlines.READ_SECONDS,
            "metadata": _metadata(probed, client),
        }

    def _error(
        self, failure: BaseException, liveness: deadlines.Liveness, seconds: float | None
    ) -> BaseException:
        """Return the error to raise for a call that failed."""
        address = self._client.address
        if liveness.given_up:
            waited = deadlines.SILENCE_SECONDS + deadlines.READ_SECONDS
            return NoAnswer(address=address, seconds=f"{waited:g}")
        if isinstance(failure, grpc.RpcError):
            return as_error(failure, address, seconds or 0)
        return failure


def _metadata(application: str, client: "_Connection") -> tuple[tuple[str, str], ...]:
    return (
        ("authorization", f"Bearer {client.token}"),
        ("application", application),
        ("accept-language", client.language),
    )


class _SyncService(_Service):
    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)

        def unary(request: Any, timeout: float | None = None) -> Any:
            seconds = timeout or deadlines.seconds(name)
            if seconds and seconds <= deadlines.READ_SECONDS:  # too short to be watched
                return self._unwatched(method, with_request_id(request), seconds)
            call = method.future(with_request_id(request), timeout=seconds, metadata=self._metadata)
            with self._watched(call, seconds):
                return call.result()

        def stream(request: Any, timeout: float | None = None) -> Iterator[Any]:
            whole = Stream(name, with_request_id(request))
            while True:
                try:
                    with closing(self._replies(method, whole, timeout)) as replies:
                        yield from filter(whole.is_new, replies)
                except Unreachable as gone:
                    if isinstance(gone, NoAnswer) or not whole.goes_on():
                        raise  # a server that hangs, nobody started again
                    time.sleep(PAUSE_SECONDS)
                else:
                    return

        return stream if isinstance(method, grpc.UnaryStreamMultiCallable) else unary

    def _replies(self, method: Any, stream: Stream, seconds: float | None) -> Generator[Any]:
        stream.called()
        call = method(stream.request, timeout=seconds, metadata=self._metadata)
        with self._watched(call, seconds) as liveness:
            for item in call:
                liveness.heard()
                yield item

    def _unwatched(self, method: Any, request: Any, seconds: float) -> Any:
        try:
            return method(request, timeout=seconds, metadata=self._metadata)
        except grpc.RpcError as failure:
            raise as_error(failure, self._client.address, seconds) from None

    @contextmanager
    def _watched(self, call: Any, seconds: float | None) -> Iterator[deadlines.Liveness]:
        with deadlines.watched(call, self._answers) as liveness:
            try:
                yield liveness
            except (grpc.RpcError, grpc.FutureCancelledError) as failure:
                raise self._error(failure, liveness, seconds) from None
            finally:
                call.cancel()  # closing a stream's generator ends the call on the server too

    def _answers(self) -> bool:
        """Return whether the server answers a small request, with a result or an error."""
        try:
            self._probe(self._probe_request, **self._probe_options)
        except grpc.RpcError as failure:
            call: Any = failure  # a unary call's error is the call itself
            return bool(call.code() is not TIMED_OUT)
        except ValueError:  # the channel was closed meanwhile: nobody is waiting
            return True
        return True


class _AsyncService(_Service):
    def __getattr__(self, name: str) -> Any:
        method = getattr(self._stub, name)

        async def unary(request: Any, timeout: float | None = None) -> Any:
            seconds = timeout or deadlines.seconds(name)
            call = method(with_request_id(request), timeout=seconds, metadata=self._metadata)
            async with self._watched(call, seconds):
                return await call

        async def stream(request: Any, timeout: float | None = None) -> AsyncIterator[Any]:
            whole = Stream(name, with_request_id(request))
            while True:
                try:
                    async with aclosing(self._replies(method, whole, timeout)) as replies:
                        async for item in replies:
                            if whole.is_new(item):
                                yield item
                except Unreachable as gone:
                    if isinstance(gone, NoAnswer) or not whole.goes_on():
                        raise  # a server that hangs, nobody started again
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    return

        return stream if isinstance(method, grpc.aio.UnaryStreamMultiCallable) else unary

    async def _replies(
        self, method: Any, stream: Stream, seconds: float | None
    ) -> AsyncGenerator[Any]:
        stream.called()
        call = method(stream.request, timeout=seconds, metadata=self._metadata)
        async with self._watched(call, seconds) as liveness:
            async for item in call:
                liveness.heard()
                yield item

    @asynccontextmanager
    async def _watched(self, call: Any, seconds: float | None) -> AsyncIterator[deadlines.Liveness]:
        async with deadlines.watched_async(call, self._answers) as liveness:
            try:
                yield liveness
            except (grpc.RpcError, asyncio.CancelledError) as failure:
                raise self._error(failure, liveness, seconds) from None
            finally:
                call.cancel()

    async def _answers(self) -> bool:
        try:
            await self._probe(self._probe_request, **self._probe_options)
        except grpc.aio.AioRpcError as failure:
            return failure.code() is not TIMED_OUT
        except grpc.aio.UsageError:  # the channel was closed meanwhile
            return True
        return True


class _Connection:
    """A server's address and the caller's token. Empty values come from the settings."""

    def __init__(self, address: str = "", token: str = "", language: str = "en") -> None:
        self.address = address or settings().server
        self.token = token or settings().read_token()
        self.language = language


class Client(_Connection):
    """A synchronous connection. Use it as a context manager, or call `close`."""

    models: models_pb2_grpc.ModelsStub
    graphs: graph_pb2_grpc.GraphsStub
    surgery: surgery_pb2_grpc.SurgeryStub
    tuning: tuning_pb2_grpc.TuningStub
    agent: agent_pb2_grpc.AgentStub

    def __init__(self, address: str = "", token: str = "", language: str = "en") -> None:
        super().__init__(address, token, language)
        self._channel = grpc.insecure_channel(self.address, _options(self.address))
        for application in STUBS:
            setattr(self, application, _SyncService(self._channel, application, self))

    def close(self) -> None:
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_Connection):
    """The same for asyncio; create it inside a running event loop."""

    models: "ModelsAsyncStub"
    graphs: "GraphsAsyncStub"
    surgery: "SurgeryAsyncStub"
    tuning: "TuningAsyncStub"
    agent: "AgentAsyncStub"

    def __init__(self, address: str = "", token: str = "", language: str = "en") -> None:
        super().__init__(address, token, language)
        self._channel = grpc.aio.insecure_channel(self.address, _options(self.address))
        for application in STUBS:
            setattr(self, application, _AsyncService(self._channel, application, self))

    async def close(self) -> None:
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
