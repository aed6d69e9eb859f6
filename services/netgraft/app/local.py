"""The local engine: a front, tensor workers and ranks that a fork server makes, and the page.

This process is their supervisor. It imports no torch, ray or grpc: nothing but its end ends it, and
with it end all the others.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from netgraft.app import check_port
from netgraft.app.preloaded import PRELOADED
from netgraft.errors import Unreachable
from netgraft.serving.forks.sockets import listening
from netgraft.serving.local import control
from netgraft.serving.local.child import Child
from netgraft.serving.local.probe import health_answers, page_answers
from netgraft.serving.local.supervisor import Control
from netgraft.settings import settings

FRONT = (sys.executable, "-m", "netgraft.app.front")
PAGE = (sys.executable, "-m", "netgraft.ui", "--with-parent")
END_SECONDS = 9.0
"""How long calls and checkpoints may take when netgraft is asked to end."""


@contextmanager
def running(stop: threading.Event, *, web: bool) -> Iterator[Callable[[], None]]:
    """Within the block everything answers; what is yielded raises NetgraftError when that ends."""
    with listening("supervisor") as (listener, path):
        os.environ[control.ADDRESS] = path
        supervisor = Control(
            listener, PRELOADED, "netgraft.app.worker:serve", "netgraft.tuning.workers.rank:work"
        )
        children = [_front(), _page()] if web else [_front()]
        try:
            supervisor.start()
            while not all(child.answered.wait(0.02) for child in children) and not stop.is_set():
                _check(children)
            yield lambda: _check(children)
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


def _page() -> Child:
    command = (*PAGE, str(os.getpid()))
    answers = partial(page_answers, settings().web_url)
    return Child("page", command, answers, ("NETGRAFT_WEB_PORT", settings().web_port))


def _check(children: Sequence[Child]) -> None:
    """Raise AddressInUse or Unreachable when one of them cannot be started (again)."""
    for child in children:
        if child.failed.is_set():
            check_port(*child.port)  # it has died: if its port is taken, that is why
            raise Unreachable(address=f"{settings().host}:{child.port[1]}")
