"""Whether a server is warming, asked of real servers of gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tests.cli.server import serving
from tests.e2e.system import free_port

from netgraft.readiness import TENSORS, is_warming

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def health_server() -> AsyncIterator[tuple[str, health.aio.HealthServicer]]:
    """A server that answers health checks as the front does."""
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}", servicer
    await server.stop(0)


async def test_a_server_is_warming_until_its_tensors_are_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # as in many offices
    async with health_server() as (address, servicer):
        assert not await is_warming(address), "it knows nothing of tensors"
        await servicer.set(TENSORS, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert await is_warming(address)
        await servicer.set(TENSORS, health_pb2.HealthCheckResponse.SERVING)
        assert not await is_warming(address)


async def test_what_does_not_answer_or_does_not_know_is_not_warming(state: Path) -> None:
    assert not await is_warming(f"127.0.0.1:{free_port()}")
    with serving() as address:
        assert not await is_warming(address)
