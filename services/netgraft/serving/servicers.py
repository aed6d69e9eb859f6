"""From a servicer to something that Ray Serve can route: identity, threads, errors.

A servicer is a plain class whose methods have the rpc names of one proto
service, take the request message and return the reply message (or yield them).
It may be called as it is, in-process. `expose` lays around it what a network
needs: the token is checked, blocking methods run in threads, and errors become
gRPC status with a `google.rpc.ErrorInfo`. This module does not import ray.
"""

import asyncio
import gc
import inspect
import logging
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from netgraft import language as languages
from netgraft.errors import InvalidValue, NetgraftError, Unauthenticated
from netgraft.serving.guard import is_known, language_of, status_of, token_of
from netgraft.settings import settings

logger = logging.getLogger(__name__)

LOWEST_PRIORITY = 19
DRAIN_SECONDS = 10


@dataclass(frozen=True)
class Caller:
    """The caller of an rpc: their token and language."""

    token: str
    language: str = "en"


_caller: ContextVar[Caller] = ContextVar("caller")
_spoken: ContextVar[str] = ContextVar("spoken", default="en")


def caller() -> Caller:
    """The caller of the rpc being served; in-process, the owner of the local token."""
    return _caller.get(None) or Caller(settings().read_token(), _spoken.get())


def speak(language: str) -> None:
    """Say which language an in-process caller reads, "en" or "zh"."""
    _spoken.set(language)


def must_name(field: str, value: int, enum: Any) -> None:
    """Raise InvalidValue for a number of a request that names nothing in a protobuf enum."""
    if value not in enum.values():
        expected = languages.Message("one of {choices}", choices=list(enum.keys()))
        raise InvalidValue(name=field, value=value, expected=expected)


def expose(servicer: type, service: ServiceDescriptor, *, warm: str = "") -> type:
    """A class with a routable method for every rpc of `service`, for `serve.deployment`.

    `warm` names a module to import, or a function to call, in the background: starting is
    fast, and the first call does not wait for torch. Raises TypeError when the servicer
    lacks an rpc: an interface with holes is found when it is built, not when it is called.
    """
    missing = [m.name for m in service.methods if not hasattr(servicer, m.name)]
    if missing:
        raise TypeError(f"{servicer.__name__} lacks {', '.join(missing)}")

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
        self.servicer = servicer(*args, **kwargs)
        if warm:
            threading.Thread(target=_warm, args=(warm,), name="warm-up", daemon=True).start()

    methods = {m.name: _routable(m) for m in service.methods}
    return type(servicer.__name__, (), {"__init__": __init__, **methods})


def _warm(name: str) -> None:
    # A thread of its own priority (Linux): the services that are still starting come first.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST_PRIORITY)
    found = resolve_name(name)
    if callable(found):
        found()
    # What was imported stays: the collector, which would look at all of it while a call waits,
    # need not look again.
    gc.collect()
    gc.freeze()


def _routable(method: MethodDescriptor) -> Callable[..., Any]:
    # Ray pickles the class by value, and descriptors cannot be pickled: the closures
    # hold names and the reply's class only.
    name = method.name
    reply = message_factory.GetMessageClass(method.output_type)

    async def stream(self: Any, request: Message, grpc_context: Any) -> AsyncIterator[Message]:
        try:
            _identify(grpc_context)
            async for item in _items(getattr(self.servicer, name), request):
                yield item
        except NetgraftError as error:
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
            return await _call(getattr(self.servicer, name), incoming(request))
        except NetgraftError as error:
            fail(grpc_context, error)
        except Exception:  # noqa: BLE001  # the boundary: logged here, never sent outside
            fail(grpc_context, _unexpected(name))
        if known:  # to a stranger nobody listens
            await discard(request)
        return reply()

    incoming, discard = (_pulled, _drained) if method.client_streaming else (_as_it_is, _nothing)
    handler = stream if method.server_streaming else unary
    handler.__name__ = handler.__qualname__ = name
    return handler


def _as_it_is(request: Message) -> Message:
    return request


async def _nothing(_: Message) -> None:
    return


async def _drained(messages: AsyncIterator[Message]) -> None:
    """Let a client whose stream was refused come to its end: grpc's asyncio client reports no
    status that comes while it sends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            async for _ in messages:
                pass


def _pulled(messages: AsyncIterator[Message]) -> Iterator[Message]:
    """A client's stream for a method that runs in a thread, message by message."""
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


async def _call(handler: Callable[[Any], Any], request: Any) -> Message:
    if inspect.iscoroutinefunction(handler):
        result: Message = await handler(request)
        return result
    return await asyncio.to_thread(handler, request)


async def _items(handler: Callable[[Message], Any], request: Message) -> AsyncIterator[Message]:
    if inspect.isasyncgenfunction(handler):
        async for item in handler(request):
            yield item
        return
    iterator: Iterator[Message] = handler(request)
    end = object()
    while (item := await asyncio.to_thread(next, iterator, end)) is not end:
        yield item


def _identify(context: Any) -> None:
    """Note who calls. A server's Guard has asked for the token before; this is the second lock."""
    metadata = dict(context.invocation_metadata())
    token = token_of(metadata)
    _caller.set(Caller(token, language_of(metadata)))
    if not is_known(token):
        raise Unauthenticated


def fail(context: Any, error: NetgraftError, *, stream: bool = False) -> None:
    """Put an error into the call's status, as its one table says.

    Ray Serve 2.60 loses the trailing metadata of a stream that fails: there the reason
    stands behind the sentence too, in parentheses, and the exception must be raised.
    """
    language = getattr(_caller.get(None), "language", "en")
    code, sentence, trailing = status_of(error, language)
    context.set_code(code)
    context.set_details(f"{sentence} ({error.reason})" if stream else sentence)
    context.set_trailing_metadata(list(trailing))
