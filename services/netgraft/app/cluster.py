"""The driver of the Ray engine: one local Ray with the five Serve applications.

`netgraft.app.ray` starts it as `python -m netgraft.app.cluster FD` and reads from that pipe, a line
of JSON each: the processes of Ray that must live, and that all applications answer.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from netgraft.app.sessions import end_session
from netgraft.client import Client
from netgraft.errors import Unreachable
from netgraft.loopback import LOOPBACK, free_port
from netgraft.parent import when_gone
from netgraft.private import OTHERS
from netgraft.readiness import is_warming
from netgraft.serving.cluster.machine import end_runs
from netgraft.serving.ray_patches import import_serve, start_ray
from netgraft.serving.services import SERVICES
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
    *(service.adder for service in SERVICES.values()),
    "grpc_health.v1.health_pb2_grpc.add_HealthServicer_to_server",
]

OBJECT_STORE_BYTES = 256 * 2**20
"""Bytes of Ray's object store. Replicas exchange only small messages; tensors go through files."""
MUST_LIVE = ("gcs_server", "raylet")
"""The processes of Ray that nobody brings back."""
START_SECONDS = 180.0
"""How long the applications may take to answer: ten times what an idle machine needs."""
CHECK_SECONDS = 2.0
"""Between two questions to Ray."""
ANSWER_SECONDS = 3
"""How long an answer may take."""
MOST_MISSED = 3
"""Answers in a row that may fail to come: on a busy machine one may."""
CHECKPOINT_SECONDS = 6.0
"""How long runs may take to write a checkpoint when netgraft is asked to end."""


def main(parent: str, pipe: str) -> int:
    """Run everything until SIGTERM, and return exit status 0.

    `pipe`: the number of the open file to report to.
    """
    when_gone(int(parent), _end_all)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with os.fdopen(int(pipe), "w") as report, _ray(report):
        # ray.init installs a handler that would end this process at once.
        signal.signal(signal.SIGTERM, lambda *_: stop.set())
        _serve()
        address = f"{settings().host}:{settings().grpc_port}"
        _wait_for_services(address, stop)
        asyncio.run(is_warming(address))  # from now on
        _say(report, ready=True)
        _watch(report, stop)
    return 0


def _watch(report: TextIO, stop: threading.Event) -> None:
    """Until `stop`, ask Ray how it is; report the part that gives no answer any more."""
    missed = 0
    while not stop.wait(CHECK_SECONDS):
        silent = _silent()
        missed = missed + 1 if silent else 0
        if missed > MOST_MISSED:
            _say(report, silent=silent)


def _silent() -> str:
    """Return the part of Ray that does not answer, or ""."""
    from ray._private import worker
    from ray.core.generated import gcs_pb2
    from ray.exceptions import RayError

    ray: Any = worker.global_worker
    alive: Any = vars(gcs_pb2)["GcsNodeInfo"].ALIVE
    try:
        nodes = ray.gcs_client.get_all_node_info(timeout=ANSWER_SECONDS).values()
    except RayError:
        return "gcs_server"
    return "" if any(node.state == alive for node in nodes) else "raylet"


def _end_all() -> None:
    """End this process and all that it has started: some of Ray would stay for a minute."""
    end_session(os.getpid(), but=os.getpid())
    os._exit(1)


def _say(report: TextIO, **facts: Any) -> None:
    print(json.dumps(facts), file=report, flush=True)


@contextmanager
def _ray(report: TextIO) -> Iterator[None]:
    """Within the block, run a local Ray."""
    import ray

    import_serve()
    # Serve reports each application; `ready` reports all of them at once.
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    start_ray(
        object_store_memory=OBJECT_STORE_BYTES,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        runtime_env={"worker_process_setup_hook": "netgraft.serving.ray_patches.install"},
    )
    _say(report, processes=_processes())
    try:
        yield
    except BaseException:
        _say(report, processes={})  # Ray's are about to end, but that is not the fault
        raise
    finally:
        _end()
        ray.shutdown()


def _processes() -> dict[str, int]:
    """Return the pids of Ray's processes that must live, by their names."""
    from ray._private import worker

    node: Any = worker._global_node
    started = node.all_processes
    return {name: started[name][0].process.pid for name in MUST_LIVE}


def _serve() -> None:
    """Run all Serve applications."""
    from ray import serve
    from ray.serve.config import HTTPOptions, gRPCOptions

    serve.start(
        http_options=HTTPOptions(host=LOOPBACK, port=free_port()),
        grpc_options=gRPCOptions(
            port=settings().grpc_port,
            grpc_servicer_functions=SERVICER_FUNCTIONS,
            enable_reflection=True,
        ),
        logging_config={"log_level": "WARNING"},
    )
    serve.run_many(list(_targets()))


def _targets() -> "Iterator[RunTarget]":
    from ray import serve

    for name, module in APPLICATIONS.items():
        application = import_module(module).app
        # An application without a route is invisible to the gRPC proxy too; over HTTP
        # these answer nothing, because their classes have no __call__.
        yield serve.RunTarget(target=application, name=name, route_prefix=f"/{name}")


def _end() -> None:
    """End the applications, then the runs: nobody is left who would start these again."""
    from ray import serve

    serve.shutdown()  # type: ignore[no-untyped-call]
    end_runs(CHECKPOINT_SECONDS)


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


if __name__ == "__main__":
    os.umask(OTHERS)
    sys.exit(main(*sys.argv[1:3]))
