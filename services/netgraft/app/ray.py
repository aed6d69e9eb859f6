"""The Ray engine: one local Ray with the five Serve applications, and the web gateway.

A cluster does the same with a KubeRay RayService that names the `deployment.py` modules
(k8s/base).
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from netgraft.app import START_SECONDS, stop_on_signals, wait_for_gateway
from netgraft.client import Client
from netgraft.errors import Unreachable
from netgraft.serving.ray_patches import free_port, import_serve, start_ray
from netgraft.settings import settings
from netgraft.v1 import agent_pb2, models_pb2

if TYPE_CHECKING:
    from ray.serve import RunTarget

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


@contextmanager
def running(stop: threading.Event, *, web: bool) -> Iterator[Callable[[], None]]:
    """Within the block everything answers; what is yielded raises Unreachable when that ends."""
    os.environ.update(RAY_ENVIRONMENT)  # before Ray is imported
    with _gateway(web) as gateway, _services(stop):

        def check() -> None:
            if gateway and gateway.poll() is not None:
                raise Unreachable(address=settings().web_url)

        _wait_for_services(f"{settings().host}:{settings().grpc_port}", stop)
        if gateway:
            wait_for_gateway(settings().web_url, stop, lambda: gateway.poll() is None)
        yield check


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
    stop_on_signals(stop)
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
