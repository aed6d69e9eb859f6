"""The composition root: everything that runs on this machine, started and ended together.

`netgraft up` calls `up`, with one of two engines: the servicers in plain processes (`local`), or as
applications of Ray Serve (`ray`), as a cluster has them (k8s/base).
"""

import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from netgraft import codes, running
from netgraft.errors import AddressInUse, CannotStart, PartLost
from netgraft.logs import Log, logged
from netgraft.private import OTHERS
from netgraft.running import announced, reachable
from netgraft.settings import settings

SPINS = "1000"
"""How often a thread of a rank looks whether the others have done their part, before it sleeps.

By default libgomp's look 300,000 times, for milliseconds. Where anything else computes, that takes
the cores from the very threads that they wait for: a tiny run with two threads took 18 CPU seconds
in 83 on a busy machine, and 2 in 7 with this.
"""
LEFTOVER_SECONDS = 8.0
"""How long processes of an `up` that died may hold its ports."""


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a running netgraft."""

    grpc: str
    web: str

    @property
    def login_url(self) -> str:
        """The chat page's address; opening it logs a browser in, once, within ten minutes."""
        return codes.link(self.web)


def up(
    *,
    ready: Callable[[Endpoints], None] | None = None,
    web: bool = True,
    engine: str = "",
) -> None:
    """Start everything, call `ready`, and stay until SIGINT or SIGTERM. Within `claimed`.

    `engine`: "local" or "ray"; "": the one of the settings. The output of the processes goes to
    `state`/logs/up.log; `ready` prints to the terminal. Every file written is readable by this user
    only. Raises AddressInUse when a port is taken meanwhile, and CannotStart when something does
    not come up or ends by itself.
    """
    os.umask(OTHERS)
    settings().make_token()
    export_environment()
    name = engine or settings().engine
    stop = threading.Event()
    stop_on_signals(stop)
    with logged(settings().folder / "logs" / "up.log") as log, _naming_log(log):
        _run(log, stop, ready, name, web=web)


def _run(
    log: Log,
    stop: threading.Event,
    ready: Callable[[Endpoints], None] | None,
    name: str,
    *,
    web: bool,
) -> None:
    address = f"{settings().host}:{settings().grpc_port}"
    url = settings().web_url if web else ""
    engine = import_module(f"netgraft.app.{name}")
    with engine.running(stop, web=web) as check:
        if stop.is_set():
            return
        with announced(address, url, engine=name):
            if ready:
                with log.on_terminal():
                    ready(Endpoints(address, settings().web_url))
            while not stop.wait(1):
                log.trim()
                check()


@contextmanager
def _naming_log(log: Log) -> Iterator[None]:
    """Name the log in every failure: Ray raises errors of any type, and logs more about them."""
    try:
        yield
    except (AddressInUse, BrokenPipeError, ModuleNotFoundError, PartLost):
        raise  # its own sentence; no reader; no netgraft[services] here
    except Exception as error:
        traceback.print_exception(error)
        raise CannotStart(log=log.path) from error


def stop_on_signals(stop: threading.Event) -> None:
    """Let SIGINT and SIGTERM set `stop`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


@contextmanager
def claimed(*, web: bool = True) -> Iterator[None]:
    """Within the block, the state folder and the ports are this process's to serve.

    Waits for what an `up` left behind that died. Raises AlreadyUp and AddressInUse.
    """
    address = f"{reachable(settings().host)}:{settings().grpc_port}"
    with running.claimed(address, settings().web_url if web else "") as died:
        deadline = time.monotonic() + (LEFTOVER_SECONDS if died else 0.0)
        while True:
            try:
                check_ports(web=web)
            except AddressInUse:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.1)
            else:
                break
        yield


def check_ports(*, web: bool = True) -> None:
    """Raise AddressInUse when a port that `up` needs is taken."""
    check_port("NETGRAFT_GRPC_PORT", settings().grpc_port)
    if web:
        check_port("NETGRAFT_WEB_PORT", settings().web_port)


def check_port(variable: str, port: int) -> None:
    """Raise AddressInUse when a port is taken. `variable`: the setting that chooses another."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings().host, port))
        except OSError as error:
            raise AddressInUse(port=port, variable=variable) from error


def export_environment() -> None:
    """Set the environment that Ray's processes and the gateway inherit."""
    roots = ":".join(str(root) for root in settings().roots)
    if settings().token_file:
        named = Path(settings().token_file).expanduser().absolute()
        os.environ["NETGRAFT_TOKEN_FILE"] = str(named)  # they run in other folders
    # Calls to this machine must not go through the proxy that $http_proxy may name.
    near = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1", "localhost"]))
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    os.environ.update(
        {
            "no_proxy": near,
            "NO_PROXY": near,
            "NETGRAFT_STATE": str(settings().folder),
            "NETGRAFT_DATA_ROOTS": roots,
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
    )
