"""The fork server of this node, as the processes of Ray on it see it: found, or started.

It is a plain process in a group of its own, which outlives whoever started it and ends with the
node's raylet.
"""

import fcntl
import os
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from netgraft.private import make_folder
from netgraft.serving.forks.forks import Fork, Task
from netgraft.serving.forks.sockets import Document, receive, receive_link, send
from netgraft.serving.ray_patches import private_folder

START_SECONDS = 60.0
"""How long it may take to open its socket; on an idle machine half a second."""
TRIES = 3
"""How often it is asked when it dies meanwhile."""
OF_RAY = {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"}
"""Variables that Ray sets for each worker as its resources are: not for what others fork."""


class Node:
    """The node's fork server, which stays for as long as somebody is connected to it."""

    def __init__(self, module: str, raylet: int = 0) -> None:
        """`module`: what `python -m` starts it with, given the socket and the raylet.

        `raylet`: the pid of the node's; by default the parent of this process, a worker of Ray's.
        """
        self.module = module
        self.raylet = raylet or os.getppid()
        self._connection: Connection | None = None

    def warm(self) -> None:
        """Start it, unless it runs. Does not wait for its imports. Raises OSError."""
        self._connected()

    def fork(self, task: Task) -> Fork:
        """Fork a process for a task. Raises OSError when the fork server dies again and again."""
        connection, reply = self._ask({"do": "fork", **plain(task)})
        return Fork(reply["pid"], receive_link(connection))

    def worker(self, task: Task) -> Connection:
        """Return the link to a new tensor worker, which the fork server holds. Raises OSError."""
        connection, _ = self._ask({"do": "worker", **plain(task)})
        return receive_link(connection)

    def leave(self) -> None:
        """Need it no longer."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _ask(self, request: Document) -> tuple[Connection, Document]:
        for last in (*[False] * (TRIES - 1), True):
            try:
                connection = self._connected()
                send(connection, request)
                return connection, receive(connection)
            except (OSError, EOFError) as error:
                self.leave()
                if last:
                    raise ConnectionError(str(error)) from error
        raise AssertionError

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = _connected(self.module, self.raylet)
        return self._connection


def plain(task: Task) -> Document:
    """Return a task as a JSON object."""
    return {"task": {**asdict(task), "log": str(task.log) if task.log else None}}


def task_from(document: Document) -> Task:
    """Read what `plain` wrote."""
    facts: dict[str, Any] = document["task"]
    return Task(**{**facts, "log": Path(facts["log"]) if facts["log"] else None})


def _connected(module: str, raylet: int) -> Connection:
    """Return a connection to the fork server of the node with that raylet. Raises OSError."""
    folder = make_folder(private_folder() / f"node-{raylet}")
    path = folder / "forks"
    with suppress(OSError):
        return Client(str(path), "AF_UNIX")
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of those that find none, one starts it
        with suppress(OSError):
            return Client(str(path), "AF_UNIX")
        return _started([sys.executable, "-m", module, str(path), str(raylet)], path)


def _started(command: list[str], path: Path) -> Connection:
    environment = {name: value for name, value in os.environ.items() if name not in OF_RAY}
    process = subprocess.Popen(  # noqa: S603
        # Ray sends signals to the whole group of a worker that it ends.
        command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        env=environment,
    )
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return Client(str(path), "AF_UNIX")
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
