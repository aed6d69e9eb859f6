"""The Models service as a Ray Serve application."""

from ray import serve

from netgraft.library.servicer import ModelsServicer
from netgraft.serving.servicers import expose
from netgraft.v1 import models_pb2

Models = serve.deployment(
    name="Models", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0}
)(
    expose(
        ModelsServicer,
        models_pb2.DESCRIPTOR.services_by_name["Models"],
        warm="torchvision",
    )
)
app = Models.bind()
