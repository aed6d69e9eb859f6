"""How the processes of one machine ask their supervisor: a Unix socket that only its user opens.

A request is a JSON object and so is its reply; the link to a new worker travels beside the
reply. Nothing is pickled.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.reduction import recv_handle, send_handle
from pathlib import Path
from typing import Any

from netgraft.serving.local.cores import usable_cores, usable_gpus

ADDRESS = "NETGRAFT_SUPERVISOR"
"""Environment variable with the path of the supervisor's socket."""
LARGEST = 2**16
"""Bytes of a request or a reply."""

Document = dict[str, Any]


class NoSupervisor(ConnectionError):
    """There is no supervisor, or it did not answer."""


class Supervisor:
    """The supervisor, as the processes see it that it has started."""

    def __init__(self, address: str = "") -> None:
        self.address = address or os.environ.get(ADDRESS, "")

    def capacity(self) -> tuple[int, int]:
        """The cores and GPUs of this machine."""
        return usable_cores(), usable_gpus()

    def ask(self, **request: Any) -> Document:
        """Send a request and return the reply to it. Raises NoSupervisor."""
        with self._connected(request) as connection:
            return receive(connection)

    def worker(self) -> Connection:
        """The link to a new tensor worker. Raises NoSupervisor."""
        with self._connected({"do": "worker"}) as connection:
            receive(connection)
            return Connection(recv_handle(connection))

    def follow(self) -> Iterator[Document]:
        """What happens to runs: first all that live, then each that ends. Raises NoSupervisor."""
        with self._connected({"do": "follow"}) as connection:
            while True:
                yield receive(connection)

    @contextmanager
    def _connected(self, request: Document) -> Iterator[Connection]:
        try:
            with Client(self.address, "AF_UNIX") as connection:
                send(connection, request)
                yield connection
        except (OSError, EOFError, ValueError) as error:
            raise NoSupervisor(str(error)) from error


@contextmanager
def listening() -> Iterator[tuple[Listener, str]]:
    """A socket in a folder of its own, which only this user enters, and its path."""
    with tempfile.TemporaryDirectory(prefix="netgraft-") as folder:  # 0700
        path = Path(folder) / "supervisor"
        with Listener(str(path), "AF_UNIX", backlog=64) as listener:
            path.chmod(0o600)
            yield listener, str(path)


def send(connection: Connection, document: Document) -> None:
    """Send a JSON object. Raises OSError when nobody reads."""
    connection.send_bytes(json.dumps(document).encode())


def receive(connection: Connection) -> Document:
    """Read a JSON object. Raises EOFError, and ValueError for anything else."""
    document = json.loads(connection.recv_bytes(LARGEST))
    if not isinstance(document, dict):
        raise ValueError(document)
    return document


def send_link(connection: Connection, link: Connection) -> None:
    """Hand a link over to the process at the other end."""
    send_handle(connection, link.fileno(), 0)
