"""The fork server of a node: a process without ray, grpc and a database connection.

It is there from the first run of its node, or the first call that needs torch, to some idle
minutes after the last. A run outlives it: its ranks end with the actor that holds their links.
"""

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection, Listener, Pipe
from pathlib import Path
from typing import Any, NoReturn

from netgraft.serving.cluster.node import task_from
from netgraft.serving.forks.forks import Forks, Task
from netgraft.serving.forks.sockets import Document, receive, send, send_link

logger = logging.getLogger(__name__)

IDLE_SECONDS = 15 * 60.0
"""How long it stays when nobody needs it."""


class Forker:
    """Answers what `Node` asks."""

    def __init__(self, modules: Sequence[str]) -> None:
        self.forks = Forks(modules)
        self._needed = 0
        self._changed = threading.Condition()

    def serve(self, path: Path, idle_seconds: float = IDLE_SECONDS) -> None:
        """Answer until nobody has needed it for so long."""
        path.unlink(missing_ok=True)  # of one that was killed
        with Listener(str(path), "AF_UNIX", backlog=64) as listener:
            path.chmod(0o600)
            self.forks.warm()
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            self._wait(idle_seconds)

    def end(self) -> NoReturn:
        """End at once, also in the middle of the fork server's imports, which would go on."""
        self.forks.end()
        os._exit(1)

    def _wait(self, idle_seconds: float) -> None:
        with self._changed:
            while True:
                self._changed.wait_for(lambda: self._needed == 0)
                if not self._changed.wait_for(lambda: self._needed > 0, idle_seconds):
                    return

    def _accept(self, listener: Listener) -> None:
        while True:
            connection = listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        """Answer one after the other what comes over a connection."""
        self._count(1)
        try:
            with connection:
                while True:
                    request = receive(connection)
                    getattr(self, f"_{request['do']}")(connection, task_from(request))
        except (EOFError, OSError):
            pass  # whoever asked has gone
        except Exception:
            logger.exception("a request could not be answered")
        finally:
            self._count(-1)

    def _fork(self, connection: Connection, task: Task) -> None:
        fork = self.forks.start(task)
        with fork.link:  # from now on whoever asked holds it
            send(connection, {"pid": fork.pid})
            send_link(connection, fork.link)

    def _worker(self, connection: Connection, task: Task) -> None:
        ours, theirs = Pipe()
        with ours, theirs:
            fork = self.forks.start(replace(task, arguments={"link": theirs}))
            threading.Thread(target=self._hold, args=(fork.result,), daemon=True).start()
            reply: Document = {"pid": fork.pid}
            send(connection, reply)
            send_link(connection, ours)

    def _hold(self, result: Any) -> None:
        """Stay for as long as a tensor worker lives."""
        self._count(1)
        result()
        self._count(-1)

    def _count(self, change: int) -> None:
        with self._changed:
            self._needed += change
            self._changed.notify_all()
