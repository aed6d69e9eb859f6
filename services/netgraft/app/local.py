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
from functools import partial

from netgraft.app.children import END_SECONDS, check, page
from netgraft.app.preloaded import PRELOADED
from netgraft.serving.forks.sockets import listening
from netgraft.serving.local import control
from netgraft.serving.local.child import Child
from netgraft.serving.local.probe import health_answers
from netgraft.serving.local.supervisor import Control
from netgraft.settings import settings

FRONT = (sys.executable, "-m", "netgraft.app.front")


@contextmanager
def running(stop: threading.Event, *, web: bool) -> Iterator[Callable[[], None]]:
    """Within the block everything answers; what is yielded raises NetgraftError when that ends."""
    with listening("supervisor") as (listener, path):
        os.environ[control.ADDRESS] = path
        supervisor = Control(
            listener, PRELOADED, "netgraft.app.worker:serve", "netgraft.tuning.workers.rank:work"
        )
        children = [_front(), page()] if web else [_front()]
        try:
            supervisor.start()
            while not all(child.answered.wait(0.02) for child in children) and not stop.is_set():
                check(children)
            yield lambda: check(children)
        finally:
            deadline = time.monotonic() + END_SECONDS
            for child in children:
                child.terminate()
            supervisor.end(deadline)
            for child in children:
                child.join(deadline)


def _front() -> Child:
    host, port = settings().host, settings().grpc_port
    answers = partial(health_answers, host, port)
    return Child("front", FRONT, answers, ("NETGRAFT_GRPC_PORT", port))
