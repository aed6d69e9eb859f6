"""What Ray 2.60 has no setting for: where Serve's gRPC binds and what it takes in, a port of one's
own for jobs, patience with a busy machine, and an import that costs every process a second.

Serve's proxy and replicas are worker processes, so `install` is given to Ray as the
hook that each worker calls at its start. tests/e2e proves that the gRPC port answers
on loopback only, and nothing to strangers.
"""

import os
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

from netgraft.settings import settings


def install() -> None:
    """Prepare a Serve process: bind gRPC to `settings().host` instead of every interface, with the
    guard in front of it, and answer nothing but health over HTTP.
    """
    import_serve()
    from ray.serve._private import default_impl, grpc_util, proxy
    from ray.serve._private.proxy_router import ProxyRouter

    def add_grpc_address(server: Any, address: str) -> None:
        port = address.rpartition(":")[2]
        server.add_insecure_port(f"{settings().host}:{port}")

    default_impl.add_grpc_address = add_grpc_address  # type: ignore[assignment]
    grpc_util.gRPCGenericServer.__init__ = _guarded  # type: ignore[method-assign]
    proxy.gRPCProxy.not_found_response = _still_starting  # type: ignore[method-assign,assignment]
    vars(proxy)["get_grpc_response_status"] = reworded(grpc_util.get_grpc_response_status)
    # Over HTTP there are Serve's own health and routes, which are answered before a route is
    # looked for. A replica would answer all else with a traceback in its log.
    ProxyRouter.match_route = lambda *_: None  # type: ignore[method-assign]


def _guarded(self: Any, service_handler_factory: Any, *, extra_options: Any = None) -> None:
    """`gRPCGenericServer.__init__` as in Ray 2.60, with an interceptor and a limit."""
    from grpc.aio._server import Server
    from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS

    from netgraft.serving.guard import RECEIVE_OPTIONS, Guard

    options = dict([*DEFAULT_GRPC_SERVER_OPTIONS, *(extra_options or []), *RECEIVE_OPTIONS])
    Server.__init__(self, None, (), (Guard(),), list(options.items()), None, None)
    self.generic_rpc_handlers = []
    self.service_handler_factory = service_handler_factory
    self._passthrough_service_names = set()


async def _still_starting(_: Any, request: Any) -> AsyncIterator[Any]:
    """`gRPCProxy.not_found_response` for a caller whom the guard let through."""
    from ray.serve._private.proxy_request_response import ResponseStatus

    from netgraft.errors import StillStarting
    from netgraft.serving.guard import language_of, status_of

    language = language_of(dict(request.context.invocation_metadata()))
    error = StillStarting(application=request.app_name)
    code, sentence, trailing = status_of(error, language)
    request.context.set_trailing_metadata(trailing)
    yield ResponseStatus(code=code, message=sentence, is_error=True)


def reworded(status_of_failure: Callable[..., Any]) -> Callable[..., Any]:
    """`get_grpc_response_status` that logs a failure of Ray's, but does not send it to the client.

    It holds a traceback, with paths and addresses.
    """
    from grpc import StatusCode

    from netgraft.errors import NetgraftError

    def status(exception: BaseException, *rest: Any) -> Any:
        found = status_of_failure(exception, *rest)
        if found.code is not StatusCode.INTERNAL or found.message.endswith(_INTERNAL):
            return found
        return replace(found, message=NetgraftError().sentence() + _INTERNAL)

    return status


_INTERNAL = " (INTERNAL)"
"""How `serving.fail` ends the words of a fault of our own, which a client takes for its reason."""


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
    close_token()
    options = {"_temp_dir": str(private_folder() / "ray"), **options}
    try:
        ray.init(address="local", dashboard_port=free_port(), **options)
    except Exception as error:  # Ray raises nothing narrower here
        ray.shutdown()
        if tries == 1 or "timed out during startup" not in str(error):
            raise
        start_ray(tries - 1, **options)


def close_token() -> None:
    """Make Ray's token, with which others run code as us, readable by this user only."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def private_folder() -> Path:
    """A folder for Ray's sessions, their sockets and logs, that no other user can enter.

    Ray opens the folder of each session to everybody, from every worker again.
    """
    from ray._common.utils import get_default_system_temp_dir

    temporary, me = Path(get_default_system_temp_dir()), os.getuid()  # type: ignore[no-untyped-call]
    folder = temporary / f"netgraft-{me}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != me:  # somebody else took the name
        return Path(tempfile.mkdtemp(prefix="netgraft-", dir=temporary))
    folder.chmod(0o700)
    return folder


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
