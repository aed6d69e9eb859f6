"""Check every rpc before its message is read: the caller, the application, size and form.

`Guard` is a server interceptor of `grpc.aio`. A plain server takes it directly
(`grpc.aio.server(interceptors=[Guard()], options=RECEIVE_OPTIONS)`); `ray_patches` gives it to
the proxy of Ray Serve. A call that is refused here reaches no servicer and writes no log.
Knows nothing of what the rpcs do.
"""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import code_pb2, error_details_pb2, status_pb2

from netgraft.errors import (
    NetgraftError,
    NotAMessage,
    NoTokenInFile,
    Unauthenticated,
    UnknownMethod,
    WrongApplication,
    status_name,
)
from netgraft.settings import settings

DOMAIN = "netgraft"
STATUS_KEY = "grpc-status-details-bin"

PACKAGE = "netgraft.v1"
"""The package whose services are applications: `netgraft.v1.Models` is served by `models`."""

OPEN = frozenset(
    {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "ray.serve.RayServeAPIService",  # health, and the names of the applications
    }
)
"""Services that answer without a token, as load balancers and grpcurl expect."""

MESSAGE_BYTES = 8 * 2**20
"""The largest message that a server accepts. A file is sent in parts of 1 MiB."""

RECEIVE_OPTIONS = (("grpc.max_receive_message_length", MESSAGE_BYTES),)

FOLLOWING = frozenset({"WatchJob", "Run"})
"""Calls that last as long as what they follow."""

ENDING = "the server is ending"
"""What grpc tools see; our clients have a sentence of their own for a server that went away."""

CANCELLED_SECONDS = 1.0
"""How long calls may take to notice that they were cancelled."""

SHOWN = 80
"""Characters of a caller's text that an error quotes."""

FACT = 200
"""Characters of a value in an error's metadata, which has at most 8 KiB in all."""

Metadata = Mapping[str, Any]


def token_of(metadata: Metadata) -> str:
    """Return the bearer token of a call, or ""."""
    scheme, _, token = str(metadata.get("authorization", "")).partition(" ")
    return token if scheme.lower() == "bearer" else ""


def is_known(token: str) -> bool:
    """Return whether this is the server's token. Never true while the server has none."""
    try:
        expected = settings().read_token()
    except NoTokenInFile:  # do not report the missing file to a caller without a token
        return False
    return hmac.compare_digest(token.encode(), expected.encode()) and bool(expected)


def language_of(metadata: Metadata) -> str:
    """Return the language that a caller reads, "en" or "zh"."""
    return "zh" if str(metadata.get("accept-language", "")).startswith("zh") else "en"


def refusal(method: str, metadata: Metadata, *, exists: bool) -> NetgraftError | None:
    """Return the error that refuses a call, or None if it is allowed. The token is checked first.

    `method` is the rpc's path, such as "/netgraft.v1.Models/GetModel"; `exists` says
    whether the server has it.
    """
    service, _, name = method.removeprefix("/").rpartition("/")
    if service not in OPEN and not is_known(token_of(metadata)):
        return Unauthenticated()
    if not exists:
        return UnknownMethod(method=method[:SHOWN])
    package, _, served = service.rpartition(".")
    application, expected = str(metadata.get("application", "")), served.lower()
    if package == PACKAGE and application != expected:
        return WrongApplication(method=name, application=application[:SHOWN], expected=expected)
    return None


def status_of(
    error: NetgraftError, language: str
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, bytes], ...]]:
    """Return an error as the status of a call: code, sentence and trailing metadata.

    The metadata is a google.rpc.Status whose ErrorInfo has the reason and the sentence's values.
    """
    sentence = error.sentence(language)
    code = grpc.StatusCode[status_name(error)]
    info = any_pb2.Any()
    facts = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    facts.metadata.update({k: text[:FACT] for k, text in error.details(language).items()})
    info.Pack(facts)
    status = status_pb2.Status(
        code=code_pb2.Code.Value(code.name), message=sentence, details=[info]
    )
    return code, sentence, ((STATUS_KEY, status.SerializeToString()),)


@dataclass(eq=False)  # not frozen: Ray sets attributes of exceptions that it passes on
class Failure(Exception):
    """An error in the form in which it ends a call, in the caller's language."""

    reason: str
    code: str
    """Name of a gRPC status."""
    sentence: str
    trailing: tuple[tuple[str, bytes], ...]

    @classmethod
    def of(cls, error: "NetgraftError | Failure", language: str) -> "Failure":
        """The same error for a reader of that language."""
        if isinstance(error, Failure):
            return error
        code, sentence, trailing = status_of(error, language)
        return cls(error.reason, code.name, sentence, trailing)


class Guard(grpc.aio.ServerInterceptor):
    """Refuses calls without the token, unknown or misrouted rpcs, and malformed messages."""

    def __init__(self) -> None:
        self._calls: dict[asyncio.Task[Any], str] = {}
        """The rpc of each call that is being answered."""
        self._ending = False

    async def end(self, server: grpc.aio.Server, grace: float) -> None:
        """Stop the server: calls may take so many seconds to end, those that follow something none.

        Who follows asks again. grpc itself would report what the loop's end cancels as errors.
        """
        self._ending = True
        for task, rpc in self._calls.items():
            if rpc in FOLLOWING:
                task.cancel()
        await server.stop(grace)
        if self._calls:
            await asyncio.wait(self._calls, timeout=CANCELLED_SECONDS)

    @contextmanager
    def _answering(self, rpc: str) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self._calls[task] = rpc
        try:
            yield
        finally:
            del self._calls[task]

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the rpc's handler with its messages checked, or one that refuses the call."""
        method = handler_call_details.method
        metadata = dict(handler_call_details.invocation_metadata or ())
        language = language_of(metadata)
        handler = await continuation(handler_call_details)
        error = refusal(method, metadata, exists=handler is not None)
        if error is not None:
            return _refusing(error, language, handler)
        return self._checking(handler, method.rpartition("/")[2], language)

    def _checking(self, handler: Any, method: str, language: str) -> Any:
        """Return a handler that takes bytes, and turns a servicer's errors into a call's status."""
        parse = handler.request_deserializer or bytes
        streaming = handler.request_streaming

        def incoming(data: Any) -> tuple[_Parsed, Any]:
            parsed = _Parsed(parse, method)
            return parsed, parsed.each(data) if streaming else parsed.one(data)

        async def single(data: Any, context: Any) -> Any:
            serve = handler.stream_unary if streaming else handler.unary_unary
            try:
                with self._answering(method):
                    parsed, request = incoming(data)
                    reply = await serve(request, context)
                if parsed.fault:  # raised while the handler read its stream
                    raise parsed.fault
            except (NetgraftError, Failure) as error:
                await _abort(context, error, language)
            return reply

        async def several(data: Any, context: Any) -> AsyncIterator[Any]:
            serve = handler.stream_stream if streaming else handler.unary_stream
            try:
                parsed, request = incoming(data)
                with self._answering(method):
                    async with aclosing(serve(request, context)) as replies:
                        async for reply in replies:
                            yield reply
                if parsed.fault:
                    raise parsed.fault
            except (NetgraftError, Failure) as error:
                await _abort(context, error, language)
            except asyncio.CancelledError:
                if self._ending:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, ENDING)
                if not context.cancelled():
                    raise
                # The caller has gone; grpc would report that, with a traceback, as our error.

        kind = "stream" if streaming else "unary"
        kind += "_stream" if handler.response_streaming else "_unary"
        return handler._replace(
            request_deserializer=None,
            **{kind: several if handler.response_streaming else single},
        )


async def _abort(context: Any, error: NetgraftError | Failure, language: str) -> NoReturn:
    failure = Failure.of(error, language)
    await context.abort(grpc.StatusCode[failure.code], failure.sentence, failure.trailing)
    raise AssertionError  # abort has raised


def _refusing(error: NetgraftError, language: str, handler: Any) -> Any:
    """Return a handler that refuses the call, without reading a stream or an unknown rpc's message.

    A single message is read and dropped, so that grpc can refuse one beyond MESSAGE_BYTES for
    its length.
    """

    async def refuse(_: object, context: Any) -> None:
        await _abort(context, error, language)

    if handler is None or handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)


class _Parsed:
    """A caller's messages, parsed when they are read. Raises NotAMessage, and keeps it."""

    def __init__(self, parse: Callable[[bytes], Any], method: str) -> None:
        self.parse = parse
        self.method = method
        self.fault: NotAMessage | None = None

    def one(self, data: bytes) -> Any:
        try:
            return self.parse(data)
        except (DecodeError, ValueError):
            self.fault = NotAMessage(method=self.method)
            raise self.fault from None

    async def each(self, stream: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        async for data in stream:
            yield self.one(data)
