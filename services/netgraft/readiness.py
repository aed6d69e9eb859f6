"""Whether a server still warms up: until its processes have imported torch, some calls wait.

Asked by `grpc.health.v1`, of the service "tensors". Ray Serve asks the replicas of each application
that computes with torch; the local engine's front answers for all of them.
"""

import asyncio

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from netgraft.loopback import is_loopback

TENSORS = "tensors"
APPLICATIONS = ("graphs", "surgery")
SECONDS = 0.5
"""How long a server may take for its answer; it has it at hand."""


async def is_warming(address: str) -> bool:
    """Return whether a server answers that calls which need torch would wait.

    False when it does not answer, or does not know.
    """
    near = is_loopback(address.rpartition(":")[0])
    options = [("grpc.enable_http_proxy", 0)] if near else []
    async with grpc.aio.insecure_channel(address, options) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answers = await asyncio.gather(*(_ask(stub, name) for name in APPLICATIONS))
    return health_pb2.HealthCheckResponse.NOT_SERVING in answers


async def _ask(stub: health_pb2_grpc.HealthStub, application: str) -> int | None:
    """Return an application's status; None when it is not known."""
    request = health_pb2.HealthCheckRequest(service=TENSORS)
    metadata = (("application", application),)
    try:
        answer = await stub.Check(request, timeout=SECONDS, metadata=metadata)
    except grpc.aio.AioRpcError:
        return None
    return int(answer.status)
