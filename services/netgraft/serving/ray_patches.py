"""Changes to Ray 2.60 that it has no settings for.

They set the address that Serve's gRPC binds and the messages that it accepts, end each worker with
its raylet, give each Ray an agent port of its own, start Ray again if a busy machine delays it, and
avoid an import that costs every process a second.

Serve's proxy and replicas are worker processes, so Ray gets `install` as the hook that each
worker calls at its start. tests/e2e proves that the gRPC port answers on loopback only, and
only to callers with the token.
"""

import os
import signal
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partialmethod
from pathlib import Path
from typing import Any

from netgraft.loopback import free_port
from netgraft.parent import end_with_parent
from netgraft.settings import settings


def install() -> None:
    """Prepare a Serve process: bind gRPC to `settings().host` instead of every interface, with the
    guard in front of it, and answer nothing but health over HTTP.
    """
    # A worker whose raylet is killed goes on for ever with what it is doing (Ray 2.60).
    end_with_parent(os.getppid(), signal.SIGKILL)
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
    # Over HTTP Serve answers its own health and list of routes, before it matches a route. A
    # replica would fail on any other request, with a traceback in its log.
    ProxyRouter.match_route = lambda *_: None  # type: ignore[method-assign]


def _guarded(self: Any, service_handler_factory: Any, *, extra_options: Any = None) -> None:
    """Replace `gRPCGenericServer.__init__`: as in Ray 2.60, with the guard and a size limit."""
    from grpc.aio._server import Server
    from ray.serve._private.constants import DEFAULT_GRPC_SERVER_OPTIONS

    from netgraft.serving.guard import RECEIVE_OPTIONS, Guard

    options = dict([*DEFAULT_GRPC_SERVER_OPTIONS, *(extra_options or []), *RECEIVE_OPTIONS])
    Server.__init__(self, None, (), (Guard(),), list(options.items()), None, None)
    self.generic_rpc_handlers = []
    self.service_handler_factory = service_handler_factory
    self._passthrough_service_names = set()


async def _still_starting(_: Any, request: Any) -> AsyncIterator[Any]:
    """Replace `gRPCProxy.not_found_response`: the application is still starting."""
    from ray.serve._private.proxy_request_response import ResponseStatus

    from netgraft.errors import StillStarting
    from netgraft.serving.guard import language_of, status_of

    language = language_of(dict(request.context.invocation_metadata()))
    error = StillStarting(application=request.app_name)
    code, sentence, trailing = status_of(error, language)
    request.context.set_trailing_metadata(trailing)
    yield ResponseStatus(code=code, message=sentence, is_error=True)


def reworded(status_of_failure: Callable[..., Any]) -> Callable[..., Any]:
    """Return a `get_grpc_response_status` that does not send Ray's own failures to the client.

    They contain a traceback, with paths and addresses; Ray logs them.
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
"""The reason that `servicers.fail` appends to the sentence of an unexpected error."""


def import_serve() -> None:
    """Import `ray.serve` without pandas.

    If pandas is installed (Gradio needs it), Serve imports it to encode data frames, which
    netgraft does not send. It takes 1.4 s in each of eight processes that share the cores.
    """
    with _without("pandas"):
        import ray.serve  # noqa: F401


@contextmanager
def _without(module: str) -> Iterator[None]:
    """Make a module unavailable during the block, unless it is imported already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # as the import system documents
    try:
        yield
    finally:
        del sys.modules[module]


def start_ray(tries: int = 3, **options: Any) -> None:
    """Start a local Ray with `ray.init(**options)`; try again if it did not start in time.

    Ray gives its node 30 s, which may be too short on a busy machine.
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
    """Make Ray's token, whose holders can run code as this user, readable by this user only."""
    token = Path.home() / ".ray" / "auth_token"
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def private_folder() -> Path:
    """Return a folder for Ray's sessions (sockets and logs) that no other user can open.

    Every worker of Ray makes the folder of its session accessible to everybody.
    """
    from ray._common.utils import get_default_system_temp_dir

    temporary, me = Path(get_default_system_temp_dir()), os.getuid()  # type: ignore[no-untyped-call]
    folder = temporary / f"netgraft-{me}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != me:  # another user has taken the name
        return Path(tempfile.mkdtemp(prefix="netgraft-", dir=temporary))
    folder.chmod(0o700)
    return folder


def own_agent_port(port: int) -> None:
    """Give the dashboard agent of the Ray that this process starts the port `port`.

    `ray.init` always uses the same one, which a second Ray on this machine would find taken.
    """
    from ray._private.parameter import RayParams

    chosen = partialmethod(RayParams.__init__, dashboard_agent_listen_port=port)
    RayParams.__init__ = chosen  # type: ignore[method-assign,assignment]
