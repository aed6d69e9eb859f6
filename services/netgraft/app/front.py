"""The front of the local engine: `python -m netgraft.app.front` serves the services without torch.

A call that needs torch is made again, whole, by a tensor worker: here the import stops it with
NeedsTorch.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from typing import Any

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from netgraft.agent.estimates import by_earlier_runs
from netgraft.agent.record import expire_all
from netgraft.app.preloaded import PRELOADED
from netgraft.models.torch_ready import keep_torch_out
from netgraft.private import OTHERS
from netgraft.readiness import TENSORS
from netgraft.serving.forks.cores import usable_cores
from netgraft.serving.guard import RECEIVE_OPTIONS, Guard
from netgraft.serving.local.control import Supervisor
from netgraft.serving.local.workers import Workers
from netgraft.serving.servicers import expose
from netgraft.serving.services import SERVICES
from netgraft.settings import settings
from netgraft.store.store import default_store
from netgraft.tuning.workers.local import LocalLauncher, Watch

OPTIONS = (*RECEIVE_OPTIONS, ("grpc.so_reuseport", 0))
"""A second server on the same port must fail, not share the calls."""
GRACE_SECONDS = 5.0
"""How long calls may take to end after SIGTERM."""


async def serve() -> None:
    """Serve until SIGTERM, or until the supervisor has gone."""
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)  # the supervisor says when
    supervisor = Supervisor()
    guard = Guard()
    server = grpc.aio.server(interceptors=[guard], options=OPTIONS)
    server.add_insecure_port(f"{settings().host}:{settings().grpc_port}")
    launcher = LocalLauncher(supervisor)
    watch = Watch(launcher)
    workers = Workers(supervisor, usable_cores(), broken_off=watch.look)
    _add_services(server, workers, launcher)
    healthy = await _add_standard(server)
    expire_all(default_store())  # what the front before this one was carrying out
    await server.start()
    watch.start()
    preparing = asyncio.create_task(_prepare(workers, healthy))
    await ending.wait()
    preparing.cancel()
    await guard.end(server, GRACE_SECONDS)


def _add_services(server: Any, workers: Workers, launcher: LocalLauncher) -> None:
    arguments: dict[str, dict[str, Any]] = {
        "tuning": {"launcher": launcher},
        "agent": {"estimate": by_earlier_runs},
    }
    for name, service in SERVICES.items():
        exposed = expose(service.servicer, service.descriptor)(**arguments.get(name, {}))
        exposed.elsewhere = workers
        service.add_to(server, exposed)


async def _prepare(workers: Workers, healthy: health.aio.HealthServicer) -> None:
    """Have a tensor worker before the first call, and report when there is one."""
    await workers.prepare()
    await healthy.set(TENSORS, health_pb2.HealthCheckResponse.SERVING)


async def _add_standard(server: Any) -> health.aio.HealthServicer:
    """Health and reflection, as gRPC servers have them."""
    names = [service.descriptor.full_name for service in SERVICES.values()]
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    for name in ("", *names):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    await healthy.set(TENSORS, health_pb2.HealthCheckResponse.NOT_SERVING)
    standard = (reflection.SERVICE_NAME, health.SERVICE_NAME)
    reflection.enable_server_reflection([*names, *standard], server)
    return healthy


def _end_with_supervisor() -> None:
    """End this process when the supervisor has gone, however it went."""
    with suppress(ConnectionError):
        for _ in Supervisor().follow():
            pass
    os._exit(1)


def main() -> int:
    """Exit status 0 after SIGTERM."""
    os.umask(OTHERS)
    logging.basicConfig(level=settings().log_level, format="%(levelname)s %(name)s: %(message)s")
    keep_torch_out(PRELOADED)
    threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
