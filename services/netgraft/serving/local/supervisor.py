"""What the supervisor does for the processes that it has started: tensor workers and runs.

It computes nothing and holds no connection to the database.
"""

import logging
import signal
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, Listener, Pipe
from typing import Any

from netgraft.serving.forks.forks import Fork, Forks, Task
from netgraft.serving.forks.sockets import Document, receive, send, send_link
from netgraft.serving.local.runs import Run, Runs
from netgraft.settings import settings

logger = logging.getLogger(__name__)

CHECKPOINT_SECONDS = 6.0
"""How long runs may take to write a checkpoint when netgraft is asked to end."""

WORKER = "netgraft-worker"
"""What tensor workers are called in `top`."""


class Control:
    """Answers what `Supervisor` asks."""

    def __init__(self, listener: Listener, modules: Sequence[str], worker: str, rank: str) -> None:
        """`worker` and `rank`: what they do, as functions by their dotted names."""
        self.forks = Forks(modules)
        self.runs = Runs(self.forks, rank, self._run_ended)
        self.worker = worker
        self.warm = threading.Event()
        self.ready = threading.Event()
        """Set when the front has opened its port."""
        self._listener = listener
        self._followers: list[Connection] = []
        self._workers: set[Fork] = set()
        self._lock = threading.Lock()
        self._ending = False

    def start(self) -> None:
        """Begin to answer, and warm the fork server."""
        self.forks.warm()
        threading.Thread(target=self._warm, name="warm", daemon=True).start()
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def end(self) -> None:
        """Let runs write their checkpoints, then end them. None is started any more."""
        self._ending = True
        for number in (signal.SIGTERM, signal.SIGKILL):
            for submission in self.runs.living():
                self.runs.signal(submission, number)
            if self.runs.wait(CHECKPOINT_SECONDS):
                return

    def _warm(self) -> None:
        self.forks.start(Task("os:getpid")).result()
        self.warm.set()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listener.accept()
            except OSError:  # the listener was closed: we end
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        request: Document = {}
        try:
            request = receive(connection)
            getattr(self, f"_{request['do']}")(connection, request)
        except (EOFError, OSError):
            pass  # whoever asked has gone
        except Exception:
            logger.exception("a request could not be answered: %s", request)
        finally:
            if request.get("do") != "follow":
                connection.close()

    def _ready(self, connection: Connection, _: Document) -> None:
        self.ready.set()
        send(connection, {})

    def _status(self, connection: Connection, _: Document) -> None:
        send(connection, {"warm": self.warm.is_set(), "runs": self.runs.living()})

    def _worker(self, connection: Connection, _: Document) -> None:
        ours, theirs = Pipe()
        with ours, theirs:
            worker = self.forks.start(Task(self.worker, {"link": theirs}, name=WORKER))
            self._workers.add(worker)
            threading.Thread(target=self._forget, args=(worker,), daemon=True).start()
            send(connection, {})
            send_link(connection, ours)

    def _forget(self, worker: Fork) -> None:
        worker.result()
        self._workers.discard(worker)

    def _start(self, connection: Connection, request: Document) -> None:
        job = request["job"]
        if self._ending:
            return
        facts: dict[str, Any] = {key: request[key] for key in ("submission", "ranks", "device")}
        self.runs.start(Run(job, folder=settings().folder / "runs" / job, **facts))
        send(connection, {})

    def _stop(self, connection: Connection, request: Document) -> None:
        self.runs.signal(request["submission"], signal.SIGKILL)
        send(connection, {})

    def _follow(self, connection: Connection, _: Document) -> None:
        with self._lock:
            send(connection, {"runs": self.runs.living()})
            self._followers.append(connection)

    def _run_ended(self, run: Run) -> None:
        if self._ending:  # it goes on when netgraft is started again
            return
        with self._lock:
            for connection in list(self._followers):
                try:
                    send(connection, {"job": run.job, "submission": run.submission})
                except OSError:
                    self._followers.remove(connection)
                    connection.close()
