"""The services, in this process or at a server, behind the same calls.

`services.graphs.DrawGraph(request)` draws at the server if there is one, else in this process; a
command does not see which. Servicers are imported when they are first called, so a command pays
only for those that it uses.
"""

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol, Self

from netgraft.cli.terminal.language import chosen_language
from netgraft.serving.services import SERVICES, Service

if TYPE_CHECKING:
    from netgraft.v1 import (
        agent_pb2_grpc,
        graph_pb2_grpc,
        models_pb2_grpc,
        surgery_pb2_grpc,
        tuning_pb2_grpc,
    )

STATELESS = {
    "Plan": ("netgraft.agent.alone", "plan"),
}
"""Rpcs that work in a base install, which has no store: module and function of each."""


class Services(Protocol):
    """The five services. Calls raise errors of the tree, in this process and from a server."""

    models: "models_pb2_grpc.ModelsStub"
    graphs: "graph_pb2_grpc.GraphsStub"
    surgery: "surgery_pb2_grpc.SurgeryStub"
    tuning: "tuning_pb2_grpc.TuningStub"
    agent: "agent_pb2_grpc.AgentStub"


class InProcessServices:
    """The services without a server: the servicers, called directly."""

    models: "models_pb2_grpc.ModelsStub"
    graphs: "graph_pb2_grpc.GraphsStub"
    surgery: "surgery_pb2_grpc.SurgeryStub"
    tuning: "tuning_pb2_grpc.TuningStub"
    agent: "agent_pb2_grpc.AgentStub"

    def __init__(self) -> None:
        for name, service in SERVICES.items():
            arguments = {"services": lambda: AsyncServices(self)} if name == "agent" else {}
            setattr(self, name, _InProcessStub(service, arguments))


class _InProcessStub:
    def __init__(self, service: Service, arguments: dict[str, Any]) -> None:
        self._service = service
        self._arguments = arguments

    @cached_property
    def servicer(self) -> Any:
        from netgraft.serving import servicers

        servicers.speak(chosen_language())
        return self._service.servicer(**self._arguments)

    def __getattr__(self, rpc: str) -> Callable[[Any], Any]:
        if rpc in STATELESS and find_spec("sqlalchemy") is None:
            module, function = STATELESS[rpc]
            stateless: Callable[[Any], Any] = getattr(importlib.import_module(module), function)
            return stateless
        method: Callable[[Any], Any] = getattr(self.servicer, rpc)
        if inspect.iscoroutinefunction(method):
            return lambda request: asyncio.run(method(request))
        if inspect.isasyncgenfunction(method):
            return lambda request: _items(method(request))
        return method


def _items(stream: Any) -> Iterator[Any]:
    """Yield the items of an asyncio stream in plain code. Ctrl-C ends it at once."""
    loop, end = asyncio.new_event_loop(), object()

    async def next_item() -> Any:
        return await anext(stream, end)

    try:
        while (item := loop.run_until_complete(next_item())) is not end:
            yield item
    finally:
        loop.run_until_complete(_end(stream))
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _end(stream: Any) -> None:
    """Close a stream, cancelling what it waits for."""
    waiting = asyncio.all_tasks() - {asyncio.current_task()}
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    await stream.aclose()


class AsyncServices:
    """The services of this process for the agent, which calls them in an event loop."""

    def __init__(self, services: InProcessServices) -> None:
        self.language = chosen_language()
        self.models = _AsyncStub(services.models)
        self.graphs = _AsyncStub(services.graphs)
        self.surgery = _AsyncStub(services.surgery)
        self.tuning = _AsyncStub(services.tuning)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Do nothing: these services hold no connection."""


class _AsyncStub:
    def __init__(self, stub: Any) -> None:
        self._stub = stub

    def __getattr__(self, rpc: str) -> Callable[[Any], Any]:
        method: Callable[[Any], Any] = getattr(self._stub.servicer, rpc)
        if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
            return method
        if inspect.isgeneratorfunction(method):
            return lambda request: _async_items(method(request))

        async def unary(request: Any) -> Any:
            return method(request)  # in this thread: nothing else waits, and Ctrl-C ends it

        return unary


async def _async_items(items: Iterator[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
