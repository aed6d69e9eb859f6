"""The Ray engine on one machine: a local Ray with the five Serve applications, and the page.

This process imports no ray: its driver is a child (`netgraft.app.cluster`). It watches what Ray
does not bring back and, when that is gone, ends all the rest, so that whoever started netgraft
starts it again. A cluster does the same with a KubeRay RayService that names the `deployment.py`
modules (k8s/base).
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from netgraft.app.children import END_SECONDS, check, page
from netgraft.app.sessions import end_session, lives
from netgraft.errors import PartLost
from netgraft.serving.local.child import Child

RAY_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_AUTH_MODE": "token",
    # Ray runs workers at nice 15; here people wait for them.
    "RAY_worker_niceness": "0",
    # On a loaded machine the proxy needs longer than Serve's 5 s to answer the first time.
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    # A proxy that was killed is missed at the third check; every 10 s, that took 43 s.
    "RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": "1",
    # Ray would keep twenty backups of 512 MiB of each log, and not limit workers' output at all.
    "RAY_ROTATION_MAX_BYTES": str(8 * 2**20),
    "RAY_ROTATION_BACKUP_COUNT": "1",
}

DRIVER = (sys.executable, "-m", "netgraft.app.cluster")
PAGE_SECONDS = 1.0
"""How long the page may take after that."""


@contextmanager
def running(stop: threading.Event, *, web: bool) -> Iterator[Callable[[], None]]:
    """Within the block everything answers; what is yielded raises NetgraftError when that ends."""
    children = [page()] if web else []  # first, because Gradio takes seconds too
    try:
        with _driver() as driver:
            while not _ready(driver, children) and not stop.wait(0.05):
                _check(driver, children)
            yield lambda: _check(driver, children)
    finally:
        for child in children:
            child.terminate()
            child.join(time.monotonic() + PAGE_SECONDS)


class Driver:
    """The driver's process, and those of Ray's that it reports."""

    def __init__(self, process: "subprocess.Popen[bytes]", report: Any) -> None:
        self.process = process
        self.ready = False
        self._silent = ""
        self._watched = {"driver": psutil.Process(process.pid)}
        threading.Thread(target=self._listen, args=(report,), daemon=True).start()

    def check(self) -> None:
        """Raises PartLost when one of the processes has ended, or does not answer."""
        if self._silent:
            raise PartLost(part=self._silent)
        for name, process in self._watched.items():
            if not lives(process):
                raise PartLost(part=name)

    def _listen(self, report: Any) -> None:
        with report:
            for line in report:
                facts = json.loads(line)
                if "processes" in facts:
                    self._watch(facts["processes"])
                self.ready |= "ready" in facts
                self._silent = facts.get("silent", "")

    def _watch(self, processes: Mapping[str, int]) -> None:
        """Watch the driver and these."""
        watched = {"driver": self._watched["driver"]}
        for name, pid in processes.items():
            with suppress(psutil.NoSuchProcess):  # then the driver fails, too
                watched[name] = psutil.Process(pid)
        self._watched = watched


def _ready(driver: Driver, children: Sequence[Child]) -> bool:
    return driver.ready and all(child.answered.is_set() for child in children)


def _check(driver: Driver, children: Sequence[Child]) -> None:
    driver.check()
    check(children)


@contextmanager
def _driver() -> Iterator[Driver]:
    """Within the block the driver runs, in a session of its own, as all that it starts."""
    reader, writer = os.pipe()
    environment = {**os.environ, **RAY_ENVIRONMENT}  # before Ray is imported
    process = subprocess.Popen(  # noqa: S603
        [*DRIVER, str(os.getpid()), str(writer)],
        env=environment,
        pass_fds=[writer],
        start_new_session=True,
    )
    os.close(writer)
    try:
        yield Driver(process, os.fdopen(reader))  # its thread closes it
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(END_SECONDS)
    finally:
        end_session(process.pid)
        process.wait()
