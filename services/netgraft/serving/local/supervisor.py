"""What the supervisor does for the processes that it has started: tensor workers and runs.

It computes nothing and holds no connection to the database.
"""

import logging
import signal
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection, Listener, Pipe
from typing import Any

from netgraft.serving.forks.forks import Forks, Task
from netgraft.serving.forks.sockets import Document, receive, send, send_link
from netgraft.serving.local.runs import Run, Runs
from netgraft.settings import settings

logger = logging.getLogger(__name__)

KILL_SECONDS = 2.0
"""Before the end, those runs are killed that are still writing their checkpoint."""
WORKER = "netgraft-worker"
"""What tensor workers are called in `top`."""
NICE = 5
"""While they compute for one caller, the front answers others."""


class Control:
    """Answers what `Supervisor` asks."""

    def __init__(self, listener: Listener, modules: Sequence[str], worker: str, rank: str) -> None:
        """`worker` and `rank`: what they do, as functions by their dotted names."""
        self.forks = Forks(modules)
        self.runs = Runs(self.forks, rank, self._run_ended)
        self.worker = worker
        self.warm = threading.Event()
        """Set while forks are made at once."""
        self._listener = listener
        self._followers: list[Connection] = []
        self._lock = threading.Lock()
        self._ending = False

    def start(self) -> None:
        """Begin to answer, and warm the fork server."""
        self.forks.warm()
        threading.Thread(target=self._keep_warm, name="warm", daemon=True).start()
        threading.Thread(target=self._serve, name="control", daemon=True).start()

    def end(self, deadline: float) -> None:
        """Let runs write their checkpoints, then end them and the fork server.

        None is started any more. `deadline`: by `time.monotonic`.
        """
        self._ending = True
        for number, left in ((signal.SIGTERM, KILL_SECONDS), (signal.SIGKILL, 0.0)):
            for submission in self.runs.living():
                self.runs.signal(submission, number)
            if self.runs.wait(max(0.0, deadline - left - time.monotonic())):
                break
        self.forks.end()

    def _keep_warm(self) -> None:
        """Start the fork server again whenever it has died."""
        while not self._ending:
            try:
                self.forks.start(Task("os:getpid")).result()
            except (OSError, EOFError):
                logger.exception("the fork server cannot be started")
                time.sleep(1)
                continue
            self.warm.set()
            self.forks.wait()
            self.warm.clear()
            if not self._ending:
                logger.warning("the fork server ended")

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

    def _status(self, connection: Connection, _: Document) -> None:
        send(connection, {"warm": self.warm.is_set(), "runs": self.runs.living()})

    def _worker(self, connection: Connection, _: Document) -> None:
        if self._ending:
            return
        ours, theirs = Pipe()
        with ours, theirs:
            worker = self.forks.start(Task(self.worker, {"link": theirs}, nice=NICE, name=WORKER))
            threading.Thread(target=worker.result, daemon=True).start()  # holds its link
            send(connection, {})
            send_link(connection, ours)

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

    def _release(self, connection: Connection, request: Document) -> None:
        self.runs.release(request["submission"])
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
