"""The composition root: one local Ray, the five Serve applications, the web gateway.

`netgraft up` calls `up`. A cluster does the same with a KubeRay RayService that names
the `deployment.py` modules (k8s/base).
"""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft import codes
from netgraft.client import Client
from netgraft.errors import AddressInUse, CannotStart, Unreachable
from netgraft.logs import Log, logged
from netgraft.private import OTHERS
from netgraft.running import announced
from netgraft.serving.ray_patches import free_port, import_serve, start_ray
from netgraft.settings import settings
from netgraft.v1 import agent_pb2, models_pb2

if TYPE_CHECKING:
    from ray.serve import RunTarget

logger = logging.getLogger(__name__)

APPLICATIONS = {
    "models": "netgraft.library.deployment",
    "graphs": "netgraft.graph.deployment",
    "surgery": "netgraft.surgery.deployment",
    "tuning": "netgraft.tuning.deployment",
    "agent": "netgraft.agent.deployment",
}
"""The module that binds each Serve application. The name is the routing key of its rpcs."""

SERVICER_FUNCTIONS = [
    "netgraft.v1.models_pb2_grpc.add_ModelsServicer_to_server",
    "netgraft.v1.graph_pb2_grpc.add_GraphsServicer_to_server",
    "netgraft.v1.surgery_pb2_grpc.add_SurgeryServicer_to_server",
    "netgraft.v1.tuning_pb2_grpc.add_TuningServicer_to_server",
    "netgraft.v1.agent_pb2_grpc.add_AgentServicer_to_server",
]

RAY_ENVIRONMENT = {
    # A cancelled job gets SIGINT and time to write its checkpoint; without both it
    # leaves a process behind.
    "RAY_JOB_STOP_SIGNAL": "SIGINT",
    "RAY_JOB_STOP_WAIT_TIME_S": "20",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",
    # Ray runs workers at nice 15; here people wait for them.
    "RAY_worker_niceness": "0",
    # On a loaded machine the proxy needs longer than Serve's 5 s to answer the first time.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    # Ray would keep twenty backups of 512 MiB of each log, and not limit workers' output at all.
    "RAY_ROTATION_MAX_BYTES": str(8 * 2**20),
    "RAY_ROTATION_BACKUP_COUNT": "1",
}

OBJECT_STORE_BYTES = 256 * 2**20
"""Bytes of Ray's object store. Replicas exchange only small messages; tensors go through files."""

START_SECONDS = 180


@dataclass(frozen=True)
class Endpoints:
    """The addresses of a running netgraft."""

    grpc: str
    web: str

    @property
    def login_url(self) -> str:
        """The chat page's address; opening it logs a browser in, once, within ten minutes."""
        return codes.link(self.web)


def up(*, ready: Callable[[Endpoints], None] | None = None, web: bool = True) -> None:
    """Start everything, call `ready`, and stay until SIGINT or SIGTERM.

    The output of Ray and the gateway goes to `state`/logs/up.log; `ready` prints to the terminal.
    Every file written is readable by this user only. Raises AddressInUse, and CannotStart when
    something does not come up or ends by itself.
    """
    check_ports(web=web)
    os.umask(OTHERS)
    settings().make_token()
    _export_environment()
    stop = threading.Event()
    _stop_on_signals(stop)
    with logged(settings().folder / "logs" / "up.log") as log, _naming_log(log):
        _run(log, stop, ready, web=web)


@contextmanager
def _naming_log(log: Log) -> Iterator[None]:
    """Name the log in every failure: Ray raises errors of any type, and logs more about them."""
    try:
        yield
    except (BrokenPipeError, ModuleNotFoundError):  # no reader; no netgraft[services] here
        raise
    except Exception as error:
        traceback.print_exception(error)
        raise CannotStart(log=log.path) from error


def _run(
    log: Log,
    stop: threading.Event,
    ready: Callable[[Endpoints], None] | None,
    *,
    web: bool,
) -> None:
    with _gateway(web) as gateway, _services(stop):
        address = f"{settings().host}:{settings().grpc_port}"
        url = settings().web_url
        _wait_for_services(address, stop)
        if gateway:
            _wait_for_gateway(gateway, url, stop)
        if stop.is_set():
            return
        with announced(address, url if gateway else "", engine="ray"):
            if ready:
                with log.on_terminal():
                    ready(Endpoints(address, url))
            while not stop.wait(1):
                log.trim()
                if gateway and gateway.poll() is not None:
                    raise Unreachable(address=url)


def _stop_on_signals(stop: threading.Event) -> None:
    """Let SIGINT and SIGTERM set `stop`."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())


def check_ports(*, web: bool = True) -> None:
    """Raise AddressInUse when a port that `up` needs is taken."""
    ports = {"NETGRAFT_GRPC_PORT": settings().grpc_port}
    if web:
        ports["NETGRAFT_WEB_PORT"] = settings().web_port
    for variable, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((settings().host, port))
            except OSError as error:
                raise AddressInUse(port=port, variable=variable) from error


def _export_environment() -> None:
    """Set the environment that Ray's processes and the gateway inherit, before Ray is imported."""
    roots = ":".join(str(root) for root in settings().roots)
    if settings().token_file:
        named = Path(settings().token_file).expanduser().absolute()
        os.environ["NETGRAFT_TOKEN_FILE"] = str(named)  # they run in other folders
    # Calls to this machine must not go through the proxy that $http_proxy may name.
    near = ",".join(filter(None, [os.environ.get("no_proxy"), "127.0.0.1", "localhost"]))
    os.environ.update(
        {
            **RAY_ENVIRONMENT,
            "no_proxy": near,
            "NO_PROXY": near,
            "NETGRAFT_STATE": str(settings().folder),
            "NETGRAFT_DATA_ROOTS": roots,
            "GRADIO_ANALYTICS_ENABLED": "False",
        }
    )


@contextmanager
def _services(stop: threading.Event) -> Iterator[None]:
    """Within the block, run a local Ray with all Serve applications."""
    import ray

    import_serve()
    # Serve reports each application; `ready` reports all of them at once.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    from ray import serve
    from ray.serve.config import HTTPOptions, gRPCOptions

    start_ray(
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=True,  # its jobs API runs the tuning jobs
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"worker_process_setup_hook": "netgraft.serving.ray_patches.install"},
    )
    # ray.init installs a handler that would end this process at once, and leave the gateway
    # and Ray's agents running.
    _stop_on_signals(stop)
    try:
        serve.start(
            http_options=HTTPOptions(host="127.0.0.1", port=free_port()),
            grpc_options=gRPCOptions(
                port=settings().grpc_port,
                grpc_servicer_functions=SERVICER_FUNCTIONS,
                enable_reflection=True,
            ),
            logging_config={"log_level": "WARNING"},
        )
        serve.run_many(list(_targets()))
        yield
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _targets() -> "Iterator[RunTarget]":
    from importlib import import_module

    from ray import serve

    for name, module in APPLICATIONS.items():
        application = import_module(module).app
        # An application without a route is invisible to the gRPC proxy too; over HTTP
        # these answer nothing, because their classes have no __call__.
        yield serve.RunTarget(target=application, name=name, route_prefix=f"/{name}")


@contextmanager
def _gateway(web: bool) -> Iterator["subprocess.Popen[bytes] | None"]:
    """Run the web gateway in its own process, started first because Gradio takes seconds too."""
    if not web:
        yield None
        return
    process = subprocess.Popen([sys.executable, "-m", "netgraft.ui"])
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def _wait_for_services(address: str, stop: threading.Event) -> None:
    """Wait until the proxy answers: it learns its routes after the applications are up."""
    deadline = time.monotonic() + START_SECONDS
    with Client(address) as client:
        while not stop.is_set():
            try:
                client.models.ListModels(models_pb2.ListModelsRequest(limit=1), timeout=10)
                client.agent.GetConversation(agent_pb2.GetConversationRequest(id="up"), timeout=10)
            except Unreachable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return


def _wait_for_gateway(process: "subprocess.Popen[bytes]", url: str, stop: threading.Event) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None and not stop.is_set():
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=2).close()  # noqa: S310  # loopback
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    if not stop.is_set():
        raise Unreachable(address=url)
