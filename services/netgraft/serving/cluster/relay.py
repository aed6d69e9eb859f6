"""The link between a replica without torch and its tensor workers.

The replica has calls answered by them; they were forked by a process without Ray, so runs are
started through the replica.
"""

import logging
import threading
from multiprocessing.connection import Connection, Listener
from typing import Any, Protocol

from netgraft.serving.cluster.node import Node
from netgraft.serving.forks.forks import Task
from netgraft.serving.forks.sockets import listening, receive, send
from netgraft.serving.local.control import ADDRESS, NoSupervisor, Supervisor
from netgraft.serving.local.supervisor import NICE, WORKER

logger = logging.getLogger(__name__)


class Machine(Protocol):
    """A machine that starts runs."""

    def capacity(self) -> tuple[int, int]:
        """Return all cores and GPUs. Raises ConnectionError."""

    def ask(self, **request: Any) -> dict[str, Any]:
        """Start a run, or stop one. Raises ConnectionError."""


class NodeWorkers:
    """The tensor workers of a replica's node: see `Workers`, which asks for them."""

    def __init__(self, node: str, worker: str) -> None:
        """`node`: the module of the fork server; `worker`: what a worker does, by its name."""
        self.node = node
        self.task = worker
        self.environment: dict[str, str] = {}
        """Variables that a worker has besides those of the fork server."""

    def worker(self) -> Connection:
        """Return the link to a new tensor worker. Raises NoSupervisor."""
        node = Node(self.node)
        try:
            return node.worker(
                Task(self.task, environment=self.environment, nice=NICE, name=WORKER)
            )
        except OSError as error:
            raise NoSupervisor(str(error)) from error
        finally:
            node.leave()


class Relay(NodeWorkers):
    """The same for a replica whose workers start runs: it does that for them."""

    def __init__(self, machine: Machine, node: str, worker: str) -> None:
        super().__init__(node, worker)
        self.machine = machine
        listens = threading.Event()
        threading.Thread(target=self._listen, args=(listens,), name="relay", daemon=True).start()
        listens.wait()

    def _listen(self, listens: threading.Event) -> None:
        with listening("replica") as (listener, address):
            self.environment[ADDRESS] = address
            listens.set()
            self._serve(listener)

    def _serve(self, listener: Listener) -> None:
        while True:
            connection = listener.accept()
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: Connection) -> None:
        with connection:
            try:
                request = receive(connection)
                if request["do"] == "capacity":
                    send(connection, {"capacity": self.machine.capacity()})
                else:
                    send(connection, self.machine.ask(**request))
            except (EOFError, OSError) as problem:  # whoever asked sees the link close
                logger.warning("a tensor worker was not answered: %s", problem)


class Relayed(Supervisor):
    """The tensor worker's end: the replica, as a machine that starts runs."""

    def capacity(self) -> tuple[int, int]:
        """Return the cores and GPUs of the cluster. Raises NoSupervisor."""
        cores, gpus = self.ask(do="capacity")["capacity"]
        return cores, gpus
