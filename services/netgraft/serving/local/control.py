"""How the processes of one machine ask their supervisor, over a socket that only its user opens."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from netgraft.serving.forks.cores import usable_cores, usable_gpus
from netgraft.serving.forks.sockets import Document, asking, receive, receive_link

ADDRESS = "_NETGRAFT_SUPERVISOR"
"""Environment variable with the path of the supervisor's socket."""


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
            return receive_link(connection)

    def follow(self) -> Iterator[Document]:
        """Yield first the runs that live, then each that ends. Raises NoSupervisor."""
        with self._connected({"do": "follow"}) as connection:
            while True:
                yield receive(connection)

    @contextmanager
    def _connected(self, request: Document) -> Iterator[Connection]:
        try:
            with asking(self.address, request) as connection:
                yield connection
        except (OSError, EOFError, ValueError) as error:
            raise NoSupervisor(str(error)) from error
