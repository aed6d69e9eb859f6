"""The Surgery service as a Ray Serve application."""

from ray import serve

from netgraft.serving.cluster.replicas import REPLICA
from netgraft.serving.servicers import expose
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

Surgery = serve.deployment(name="Surgery", **REPLICA)(
    expose(
        SurgeryServicer,
        surgery_pb2.DESCRIPTOR.services_by_name["Surgery"],
        warm="netgraft.models.torch_ready:wait_for_torch",
    )
)
app = Surgery.bind()
