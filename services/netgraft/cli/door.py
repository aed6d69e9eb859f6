"""The services, in this process or at a server, behind the same calls.

`door.graphs.DrawGraph(request)` draws here when no server was named, and there when one was;
a command does not see which. The slices' edges are imported when they are first called, so a
command pays only for the slice that it uses.
"""

import asyncio
import importlib
import inspect
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from netgraft.cli.language import spoken

if TYPE_CHECKING:
    from netgraft.v1 import (
        agent_pb2_grpc,
        graph_pb2_grpc,
        models_pb2_grpc,
        surgery_pb2_grpc,
        tuning_pb2_grpc,
    )

EDGES = {
    "models": ("netgraft.models.edge", "ModelsServicer"),
    "graphs": ("netgraft.graph.edge", "GraphsServicer"),
    "surgery": ("netgraft.surgery.edge", "SurgeryServicer"),
    "tuning": ("netgraft.tuning.edge", "TuningServicer"),
    "agent": ("netgraft.agent.edge", "AgentServicer"),
}
"""Module and class of each service's edge."""


class Door(Protocol):
    """The five services. Calls raise errors of the tree, wherever they are answered."""

    models: "models_pb2_grpc.ModelsStub"
    graphs: "graph_pb2_grpc.GraphsStub"
    surgery: "surgery_pb2_grpc.SurgeryStub"
    tuning: "tuning_pb2_grpc.TuningStub"
    agent: "agent_pb2_grpc.AgentStub"


class InProcess:
    """The services without a server: the slices' edges, called directly."""

    models: "models_pb2_grpc.ModelsStub"
    graphs: "graph_pb2_grpc.GraphsStub"
    surgery: "surgery_pb2_grpc.SurgeryStub"
    tuning: "tuning_pb2_grpc.TuningStub"
    agent: "agent_pb2_grpc.AgentStub"

    def __init__(self) -> None:
        for service, (module, servicer) in EDGES.items():
            setattr(self, service, _Edge(module, servicer))


class _Edge:
    def __init__(self, module: str, servicer: str) -> None:
        self._module = module
        self._name = servicer

    @cached_property
    def _servicer(self) -> Any:
        from netgraft import serving

        serving.speak(spoken())
        return getattr(importlib.import_module(self._module), self._name)()

    def __getattr__(self, rpc: str) -> Callable[[Any], Any]:
        method: Callable[[Any], Any] = getattr(self._servicer, rpc)
        if inspect.iscoroutinefunction(method):
            return lambda request: asyncio.run(method(request))
        return method
