"""A process with torch in it that forks others in 0.02 s; one for each machine.

Python's own (multiprocessing.forkserver) listens on a socket that only its user may open, forks
in its main thread, and is started again when it has died. It ends with the process that uses
this module. A fork does not: it ends when whoever holds its link has gone, and the link can be
handed to another process.

The fork server runs no operator of torch: OpenMP's threads do not survive a fork, and the child
of a process that has used them hangs in its first convolution.
"""

import multiprocessing
import os
import select
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from netgraft.private import OTHERS, make_file
from netgraft.serving.forks.scratch import clear, temporary_files_in_scratch

SETTLED = "netgraft.serving.forks.settled"
RETURNED = b"returned"
"""What a fork says last when its function has returned."""
EXPENDABLE = 300
"""Added to a fork's badness when memory is short (proc(5): oom_score_adj, -1000 to 1000)."""
TRIES = 3
"""How often a fork is asked for when the fork server dies meanwhile."""
PATIENCE_SECONDS = 120.0
"""After which a fork server that makes no fork is taken for hung; its imports take a few seconds,
on a busy machine half a minute."""

GONE_SECONDS = 2.0
"""How long a process that has closed its link may take to be gone."""


@dataclass(frozen=True)
class Task:
    """Work for a fork: a function by its dotted name, what it is given, and its surroundings."""

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    log: Path | None = None
    """File that its standard output and error are appended to; None: the fork server's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that it has besides those of the fork server."""
    expendable: int = EXPENDABLE
    """What is highest dies first when memory is short."""
    nice: int = 0
    """How far it stands back where others want the same cores (nice(2))."""
    name: str = ""
    """What `top` and `ps -o comm` call it, in at most 15 characters."""


class Fork:
    """A process that the fork server made, for as long as its link is held.

    Whether it lives is read from the link: when the fork server has died, multiprocessing takes
    all that it made for dead.
    """

    def __init__(self, pid: int, link: Connection) -> None:
        self.pid = pid
        self.link = link

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to it and what it started, if it lives."""
        if not wait([self.link], 0):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    def result(self) -> bool:
        """Wait for its end; True when its function returned."""
        returned = False
        with suppress(EOFError, OSError):
            returned = self.link.recv_bytes() == RETURNED
            self.link.recv_bytes()
        if not returned:
            self._clear_after_it()
        return returned

    def _clear_after_it(self) -> None:
        """Remove its temporary files: those of an export are as large as the model."""
        deadline = time.monotonic() + GONE_SECONDS
        with suppress(ProcessLookupError):  # its link is closed a moment before its lock
            while time.monotonic() < deadline:
                os.kill(self.pid, 0)
                time.sleep(0.01)
        clear()


class Forks:
    """Starts processes by a fork server that has imported `modules`, by their names."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([*modules, SETTLED])

    @property
    def pid(self) -> int | None:
        """The fork server's own process; None before the first start."""
        found: int | None = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
        return found

    def warm(self) -> None:
        """Start the fork server, unless it runs. Does not wait for its imports."""
        forkserver.ensure_running()

    def wait(self) -> None:
        """Wait until the fork server has died, if it runs."""
        if (pid := self.pid) is not None:
            with suppress(ChildProcessError):
                # Left to be collected: so multiprocessing sees that it must start another.
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def end(self) -> None:
        """End the fork server, which forks outlive, and wait for its end."""
        self._kill()  # it writes nothing that lasts, and a clean exit waits for its imports
        forkserver._forkserver._stop()  # type: ignore[attr-defined]

    def start(self, task: Task) -> Fork:
        """Fork a process for a task; waits while the fork server is importing.

        Raises OSError and EOFError when the fork server dies again and again.
        """
        for _ in range(TRIES - 1):
            with suppress(OSError, EOFError):  # the fork server has died: another is started
                return self._fork(task)
            time.sleep(0.1)
        return self._fork(task)

    def _fork(self, task: Task) -> Fork:
        ours, theirs = multiprocessing.Pipe()
        with theirs, self._impatient():
            process = self._context.Process(target=_carry_out, args=(task, theirs))
            process.start()
        # At our end multiprocessing would wait for each that is on its list.
        multiprocessing.process._children.discard(process)  # type: ignore[attr-defined]
        assert process.pid is not None
        return Fork(process.pid, ours)

    @contextmanager
    def _impatient(self) -> Iterator[None]:
        """Kill the fork server if the block takes too long: what waits for it then goes on."""
        timer = threading.Timer(PATIENCE_SECONDS, self._kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill(self) -> None:
        if (pid := self.pid) is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def end_with(link: Connection) -> None:
    """End this process when the other end of a link is closed, whatever it is doing."""

    def watch() -> None:
        closed = select.poll()
        # Linux reports a closed end when asked; elsewhere poll reports POLLHUP without being asked.
        closed.register(link.fileno(), getattr(select, "POLLRDHUP", 0))
        closed.poll()
        os._exit(1)

    threading.Thread(target=watch, name="holder", daemon=True).start()


def _carry_out(task: Task, link: Connection) -> None:
    """In the fork: take its surroundings on, then call the task's function."""
    with suppress(OSError):
        os.setpgid(0, 0)
    os.umask(OTHERS)
    end_with(link)
    os.nice(task.nice)
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/comm").write_text(task.name)
        Path("/proc/self/oom_score_adj").write_text(str(task.expendable))
    if task.log:
        with make_file(task.log).open("ab") as file:
            for number in (1, 2):
                os.dup2(file.fileno(), number)
    os.environ.update(task.environment)
    _start_afresh()
    with temporary_files_in_scratch():
        resolve_name(task.function)(**task.arguments)
    link.send_bytes(RETURNED)


def _start_afresh() -> None:
    """Reread the settings, and seed what would draw the same numbers in every fork."""
    import random

    import numpy as np
    import torch

    from netgraft.settings import settings
    from netgraft.store.store import default_store

    settings.cache_clear()
    default_store.cache_clear()
    seed = int.from_bytes(os.urandom(8), "little")
    random.seed(seed)
    np.random.seed(seed % 2**32)  # the global one is what libraries draw from
    torch.manual_seed(seed % 2**63)
