"""The Models service as a Ray Serve application."""

from ray import serve

from netgraft.library.servicer import ModelsServicer
from netgraft.serving.cluster.replicas import REPLICA
from netgraft.serving.servicers import expose
from netgraft.v1 import models_pb2

Models = serve.deployment(name="Models", **REPLICA)(
    expose(
        ModelsServicer,
        models_pb2.DESCRIPTOR.services_by_name["Models"],
        warm="torchvision",
    )
)
app = Models.bind()
