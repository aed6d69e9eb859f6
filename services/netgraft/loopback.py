"""Keeping Ray's ports to ourselves: one address for gRPC, and a port of one's own for jobs.

Ray Serve 2.60 binds its gRPC proxy to every interface and offers no option. The
proxy runs in a worker process of its own, so `install` is given to Ray as the
hook that each worker calls at its start. tests/e2e proves that the port answers
on loopback only.
"""

from functools import partialmethod
from typing import Any

from netgraft.settings import settings


def install() -> None:
    """In a Serve process, bind gRPC to `settings().host` instead of every interface."""
    from ray.serve._private import default_impl

    def add_grpc_address(server: Any, address: str) -> None:
        port = address.rpartition(":")[2]
        server.add_insecure_port(f"{settings().host}:{port}")

    default_impl.add_grpc_address = add_grpc_address  # type: ignore[assignment]


def own_agent_port(port: int) -> None:
    """Give the agent of the Ray that this process starts a port of its own.

    `ray.init` gives each the same one. A second Ray on this machine would then find it
    taken, and run no job ("No available agent to submit job").
    """
    from ray._private.parameter import RayParams

    chosen = partialmethod(RayParams.__init__, dashboard_agent_listen_port=port)
    RayParams.__init__ = chosen  # type: ignore[method-assign,assignment]
