"""The five services by their application: where the contract and the servicer of each are found.

By name alone, so that nothing is imported before it is needed.
"""

import importlib
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.descriptor import ServiceDescriptor


@dataclass(frozen=True)
class Service:
    """One service of the contract."""

    contract: str
    """Module of its messages."""
    name: str
    """As the proto says it."""
    where: str
    """Its servicer, as module:class."""

    @property
    def descriptor(self) -> "ServiceDescriptor":
        """The service in the contract."""
        file = importlib.import_module(self.contract).DESCRIPTOR
        found: ServiceDescriptor = file.services_by_name[self.name]
        return found

    @property
    def servicer(self) -> type:
        """The class of its servicer."""
        found: type = resolve_name(self.where)
        return found

    @property
    def adder(self) -> str:
        """The dotted name of the function that lets a server of gRPC answer with a servicer."""
        return f"{self.contract}_grpc.add_{self.name}Servicer_to_server"

    def add_to(self, server: Any, servicer: Any) -> None:
        """Let a server of gRPC answer with a servicer."""
        resolve_name(self.adder)(servicer, server)


SERVICES = {
    "models": Service(
        "netgraft.v1.models_pb2", "Models", "netgraft.library.servicer:ModelsServicer"
    ),
    "graphs": Service("netgraft.v1.graph_pb2", "Graphs", "netgraft.graph.servicer:GraphsServicer"),
    "surgery": Service(
        "netgraft.v1.surgery_pb2", "Surgery", "netgraft.surgery.servicer:SurgeryServicer"
    ),
    "tuning": Service(
        "netgraft.v1.tuning_pb2", "Tuning", "netgraft.tuning.servicer:TuningServicer"
    ),
    "agent": Service("netgraft.v1.agent_pb2", "Agent", "netgraft.agent.servicer:AgentServicer"),
}
"""The service of each application; an application is the key by which calls are routed."""
