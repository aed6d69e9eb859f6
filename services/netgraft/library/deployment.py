"""The Models service as a Ray Serve application."""

from ray import serve

from netgraft.library.servicer import ModelsServicer
from netgraft.models.torch_ready import keep_torch_out
from netgraft.serving.cluster.relay import NodeWorkers
from netgraft.serving.cluster.replicas import NODE, REPLICA, WORKER
from netgraft.serving.forks.cores import usable_cores
from netgraft.serving.local.workers import Workers
from netgraft.serving.servicers import expose
from netgraft.v1 import models_pb2


class ClusterModelsServicer(ModelsServicer):
    """The servicer on Ray, without torch: 0.4 GB, for what is seldom asked for."""

    def __init__(self) -> None:
        keep_torch_out()
        super().__init__()


def elsewhere(_: ModelsServicer) -> Workers:
    """The tensor workers of the replica's node, as many as it has cores."""
    return Workers(NodeWorkers(NODE, WORKER), usable_cores(), stay=False)


Models = serve.deployment(name="Models", **REPLICA)(
    expose(
        ClusterModelsServicer,
        models_pb2.DESCRIPTOR.services_by_name["Models"],
        elsewhere=elsewhere,
    )
)
app = Models.bind()
