"""The Graphs service as a Ray Serve application."""

from ray import serve

from netgraft.graph.servicer import GraphsServicer
from netgraft.serving.cluster.replicas import REPLICA
from netgraft.serving.servicers import expose
from netgraft.v1 import graph_pb2

Graphs = serve.deployment(name="Graphs", **REPLICA)(
    expose(
        GraphsServicer,
        graph_pb2.DESCRIPTOR.services_by_name["Graphs"],
        warm="netgraft.graph.capture.capture:warm",
    )
)
app = Graphs.bind()
