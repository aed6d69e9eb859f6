"""Expose a servicer as a class that Ray Serve can route calls to: identity, threads, errors.

A servicer is a plain class whose methods have the rpc names of one proto service, take the
request message and return the reply message (or yield several). It can be called directly,
in-process. `expose` adds what serving over a network needs: the token is checked, blocking
methods run in threads, and errors become a gRPC status with a `google.rpc.ErrorInfo`.
This module does not import ray.
"""

import asyncio
import gc
import inspect
import logging
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any, Protocol

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message
from grpc import StatusCode
from grpc_health.v1.health_pb2 import HealthCheckResponse

from netgraft import language as languages
from netgraft.errors import InvalidValue, NetgraftError, Unauthenticated
from netgraft.models.torch_ready import NeedsTorch, met_a_half
from netgraft.readiness import TENSORS
from netgraft.serving.guard import Failure, is_known, language_of, token_of
from netgraft.settings import settings

logger = logging.getLogger(__name__)

LOWEST_PRIORITY = 19
WARM_SECONDS = 10.0
"""After which a replica warms up by itself: the others of its machine have then started, too."""
DRAIN_SECONDS = 10


@dataclass(frozen=True)
class Caller:
    """The caller of an rpc: their token and language."""

    token: str
    language: str = "en"


_caller: ContextVar[Caller] = ContextVar("caller")
_spoken: ContextVar[str] = ContextVar("spoken", default="en")


def caller() -> Caller:
    """Return the caller of the current rpc; in-process, the owner of the local token."""
    return _caller.get(None) or Caller(settings().read_token(), _spoken.get())


@contextmanager
def acting_for(somebody: Caller) -> Iterator[None]:
    """A block in which `caller()` is somebody who called another process."""
    token = _caller.set(somebody)
    try:
        yield
    finally:
        _caller.reset(token)


class Elsewhere(Protocol):
    """Another process, which answers the calls that need torch where this one keeps it out."""

    def answers(self, service: str, rpc: str, request: Message) -> AsyncGenerator[bytes]:
        """The serialized replies to a call of `caller()`.

        Raises Failure, with which the call ended there, and NetgraftError.
        """


def speak(language: str) -> None:
    """Set the language that an in-process caller reads, "en" or "zh"."""
    _spoken.set(language)


def must_name(field: str, value: int, enum: Any) -> None:
    """Raise InvalidValue if a request's number is not a value of the protobuf enum."""
    if value not in enum.values():
        expected = languages.Message("one of {choices}", choices=list(enum.keys()))
        raise InvalidValue(name=field, value=value, expected=expected)


def expose(
    servicer: type,
    service: ServiceDescriptor,
    *,
    warm: str = "",
    elsewhere: Callable[[Any], Elsewhere] | None = None,
) -> type:
    """Return a class with a method for every rpc of `service`, for `serve.deployment`.

    `warm` names a module to import, or a function to call, in the background when somebody asks
    whether this is done, at the latest some seconds after the start, so that the first call does
    not wait for torch. Raises TypeError if the servicer lacks an rpc:
    that is found at the start, not at the first call.

    Where the process keeps torch out, `elsewhere` makes what answers instead, given the servicer;
    or set the attribute of that name of the instance.
    """
    missing = [m.name for m in service.methods if not hasattr(servicer, m.name)]
    if missing:
        raise TypeError(f"{servicer.__name__} lacks {', '.join(missing)}")

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        self.servicer = servicer(*args, **kwargs)
        if elsewhere:
            self.elsewhere = elsewhere(self.servicer)
        self.asked, self.warm = threading.Event(), threading.Event()
        if warm:
            given = (warm, self.asked, self.warm)
            threading.Thread(target=_warm, args=given, name="warm-up", daemon=True).start()

    methods = {m.name: _routable(m) for m in service.methods}
    methods["Check"] = _check
    return type(servicer.__name__, (), {"__init__": __init__, "elsewhere": None, **methods})


async def _check(self: Any, request: Any, grpc_context: Any) -> HealthCheckResponse:
    """Answer `grpc.health.v1` for a replica of Ray Serve; see `netgraft.readiness`."""
    self.asked.set()
    warming = request.service == TENSORS and not self.warm.is_set()
    known = HealthCheckResponse.NOT_SERVING if warming else HealthCheckResponse.SERVING
    return HealthCheckResponse(status=known)


def _warm(name: str, asked: threading.Event, done: threading.Event) -> None:
    asked.wait(WARM_SECONDS)
    # On Linux a thread has its own priority: services that are still starting come first.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    found = resolve_name(name)
    if callable(found):
        found()
    # Imported objects stay alive: exempt them from garbage collection, which would otherwise
    # traverse all of them while a call waits.
    gc.collect()
    gc.freeze()
    done.set()


def _routable(method: MethodDescriptor) -> Callable[..., Any]:
    # Ray pickles the class by value, and descriptors cannot be pickled: the closures refer
    # only to names and the reply's class.
    name, service = method.name, method.containing_service.name
    reply = message_factory.GetMessageClass(method.output_type)

    async def replies(self: Any, request: Message) -> AsyncGenerator[Message]:
        """From here or, where torch is needed and kept out, all of them from elsewhere."""
        begun = False
        try:
            async with aclosing(_items(getattr(self.servicer, name), request)) as items:
                async for item in items:
                    begun = True
                    yield item
        except (NeedsTorch, ImportError) as stopped:
            assert not begun, f"torch was needed in the middle of {name}"
            async with aclosing(_elsewhere(self, service, name, request, stopped)) as answers:
                async for data in answers:
                    yield reply.FromString(data)

    async def stream(self: Any, request: Message, grpc_context: Any) -> AsyncIterator[Message]:
        try:
            _identify(grpc_context)
            async with aclosing(replies(self, request)) as items:
                async for item in items:
                    yield item
        except (NetgraftError, Failure) as error:
            fail(grpc_context, error, stream=True)
            raise
        except Exception as unexpected:  # the boundary: logged here, never sent outside
            internal = _unexpected(name)
            fail(grpc_context, internal, stream=True)
            raise internal from unexpected

    async def unary(self: Any, request: Any, grpc_context: Any) -> Message:
        known = False
        try:
            _identify(grpc_context)
            known = True
            request = _Stream(request) if streamed else request
            try:
                found: Message = await _single(getattr(self.servicer, name), incoming(request))
            except (NeedsTorch, ImportError) as stopped:
                # To the end: whoever is left in the middle of its answers is hung up on.
                answers = _elsewhere(self, service, name, request, stopped)
                (data,) = [each async for each in answers]
                found = reply.FromString(data)
            return found
        except (NetgraftError, Failure) as error:
            fail(grpc_context, error)
        except Exception:  # noqa: BLE001  # the boundary: logged here, never sent outside
            fail(grpc_context, _unexpected(name))
        if known:  # the stream of a caller without the token is not read
            await discard(request)
        return reply()

    streamed = method.client_streaming
    incoming, discard = (_iterated, _drain) if streamed else (_unchanged, _nothing)
    handler = stream if method.server_streaming else unary
    handler.__name__ = handler.__qualname__ = name
    return handler


def _elsewhere(
    exposed: Any, service: str, rpc: str, request: Any, stopped: Exception
) -> AsyncGenerator[bytes]:
    """The whole call again, by another process. Raises what has stopped it otherwise."""
    if isinstance(stopped, ImportError) and not met_a_half(stopped):
        raise stopped
    first = request.what_it_is_of() if isinstance(request, _Stream) else request
    answers: AsyncGenerator[bytes] = exposed.elsewhere.answers(service, rpc, first)
    return answers


def _unchanged(request: Message) -> Message:
    return request


async def _nothing(_: Message) -> None:
    return


class _Stream:
    """A client's stream that remembers its first message.

    It says what the others are of; when these have been kept, it is enough to call again with.
    """

    def __init__(self, messages: AsyncIterator[Message]) -> None:
        self._messages = aiter(messages)
        self._first: Message | None = None
        self._ended = False

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Message:
        try:
            message = await anext(self._messages)
        except StopAsyncIteration:
            self._ended = True
            raise
        self._first = self._first or message
        return message

    def what_it_is_of(self) -> Message:
        """The first message, once all have been read."""
        assert self._first is not None and self._ended, "torch was needed before the end"
        return self._first


async def _drain(messages: AsyncIterator[Message]) -> None:
    """Read the rest of a refused client's stream: grpc's asyncio client does not report a status
    that it receives while it sends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in messages:
                pass


def _iterated(messages: AsyncIterator[Message]) -> Iterator[Message]:
    """Return a client's stream as an iterator, for a method that runs in a thread."""
    loop, stream, end = asyncio.get_running_loop(), aiter(messages), object()

    async def following() -> Any:
        return await anext(stream, end)

    def pull() -> Iterator[Message]:
        while (item := asyncio.run_coroutine_threadsafe(following(), loop).result()) is not end:
            yield item

    return pull()


def _unexpected(name: str) -> NetgraftError:
    logger.exception("%s failed", name)
    return NetgraftError()


async def _single(handler: Callable[[Any], Any], request: Any) -> Any:
    if inspect.iscoroutinefunction(handler):
        return await handler(request)
    return await asyncio.to_thread(handler, request)


async def _items(handler: Callable[[Any], Any], request: Any) -> AsyncGenerator[Message]:
    if inspect.isasyncgenfunction(handler):
        async for item in handler(request):
            yield item
        return
    iterator: Iterator[Message] = handler(request)
    end = object()
    while (item := await asyncio.to_thread(next, iterator, end)) is not end:
        yield item


def _identify(context: Any) -> None:
    """Set the caller. The server's Guard has already checked the token; this is a second check."""
    metadata = dict(context.invocation_metadata())
    token = token_of(metadata)
    _caller.set(Caller(token, language_of(metadata)))
    if not is_known(token):
        raise Unauthenticated


def fail(context: Any, error: NetgraftError | Failure, *, stream: bool = False) -> None:
    """Set an error as the status of the call.

    Ray Serve 2.60 loses the trailing metadata of a stream that fails. For a stream the reason is
    therefore appended to the sentence, in parentheses, and the caller must raise the exception.
    """
    failure = Failure.of(error, getattr(_caller.get(None), "language", "en"))
    context.set_code(StatusCode[failure.code])
    context.set_details(f"{failure.sentence} ({failure.reason})" if stream else failure.sentence)
    context.set_trailing_metadata(list(failure.trailing))
