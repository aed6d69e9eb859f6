"""The local engine: a front, tensor workers and ranks that a fork server makes, and the page.

This process is their supervisor. It imports no torch, ray or grpc: nothing but its end ends it, and
with it end all the others.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netgraft.app import START_SECONDS, wait_for_gateway
from netgraft.app.preloaded import RANKS, WORKERS
from netgraft.errors import Unreachable
from netgraft.serving.forks.sockets import listening
from netgraft.serving.local import control
from netgraft.serving.local.child import Child
from netgraft.serving.local.supervisor import Control
from netgraft.settings import settings

FRONT = (sys.executable, "-m", "netgraft.app.front")
PAGE = (sys.executable, "-m", "netgraft.ui", "--with-parent")
END_SECONDS = 8.0
"""How long calls and checkpoints may take when netgraft is asked to end."""


@contextmanager
def running(stop: threading.Event, *, web: bool) -> Iterator[Callable[[], None]]:
    """Within the block everything answers; what is yielded raises Unreachable when that ends."""
    failed = threading.Event()

    def check() -> None:
        if failed.is_set():
            raise Unreachable(address=settings().server)

    with listening("supervisor") as (listener, path):
        os.environ[control.ADDRESS] = path
        supervisor = Control(
            listener,
            (*RANKS, *WORKERS),
            "netgraft.app.worker:serve",
            "netgraft.tuning.workers.rank:work",
        )
        children = [Child("front", FRONT, failed)]
        if web:
            children.append(Child("page", (*PAGE, str(os.getpid())), failed))
        try:
            supervisor.start()
            _wait_for_front(supervisor, stop, check)
            if web:
                wait_for_gateway(settings().web_url, stop, lambda: not failed.is_set())
            yield check
        finally:
            for child in children:
                child.terminate()
            supervisor.end()
            for child in children:
                child.join(time.monotonic() + END_SECONDS)


def _wait_for_front(supervisor: Control, stop: threading.Event, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not supervisor.ready.wait(0.05) and not stop.is_set():
        check()
        if time.monotonic() > deadline:
            raise Unreachable(address=settings().server)
