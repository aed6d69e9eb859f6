"""What Ray 2.60 has no setting for: where Serve's gRPC binds, a port of one's own for jobs,
patience with a busy machine, and an import that costs every process a second and more.

Serve's proxy and replicas are worker processes, so `install` is given to Ray as the
hook that each worker calls at its start. tests/e2e proves that the gRPC port answers
on loopback only.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

from netgraft.settings import settings


def install() -> None:
    """In a Serve process, bind gRPC to `settings().host` instead of every interface."""
    import_serve()
    from ray.serve._private import default_impl

    def add_grpc_address(server: Any, address: str) -> None:
        port = address.rpartition(":")[2]
        server.add_insecure_port(f"{settings().host}:{port}")

    default_impl.add_grpc_address = add_grpc_address  # type: ignore[assignment]


def import_serve() -> None:
    """Import `ray.serve` without pandas.

    Serve imports it where it is installed (Gradio needs it), to encode data frames, of which
    we send none: 1.4 s in each of eight processes that share the machine's cores.
    """
    with _without("pandas"):
        import ray.serve  # noqa: F401


@contextmanager
def _without(module: str) -> Iterator[None]:
    """A block in which a module that is not imported yet cannot be."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system documents
    try:
        yield
    finally:
        del sys.modules[module]


def start_ray(tries: int = 3, **options: Any) -> None:
    """`ray.init(**options)` of a cluster of this process's own, tried again when it came up late.

    Ray gives its node 30 s, which a busy machine may not meet.
    """
    import ray

    own_agent_port(free_port())
    try:
        ray.init(address="local", dashboard_port=free_port(), **options)
    except Exception as error:  # Ray raises nothing narrower here
        ray.shutdown()
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        start_ray(tries - 1, **options)


def free_port() -> int:
    """A port of loopback that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def own_agent_port(port: int) -> None:
    """Give the agent of the Ray that this process starts a port of its own.

    `ray.init` gives each the same one. A second Ray on this machine would then find it
    taken, and run no job ("No available agent to submit job").
    """
    from ray._private.parameter import RayParams

    chosen = partialmethod(RayParams.__init__, dashboard_agent_listen_port=port)
    RayParams.__init__ = chosen  # type: ignore[method-assign,assignment]
