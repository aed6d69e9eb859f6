"""Unix sockets that only their user opens: a request is a JSON object and so is its reply.

A link to another process travels beside the reply. Nothing is pickled.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Client, Connection, Listener
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

from netgraft.serving.forks.scratch import scratch

LARGEST = 2**16
"""Bytes of a request or a reply."""

Document = dict[str, Any]


@contextmanager
def listening(name: str) -> Iterator[tuple[Listener, str]]:
    """A socket in a folder of its own, which only this user enters, and its path."""
    with scratch() as folder:
        path = folder / name
        with Listener(str(path), "AF_UNIX", backlog=64) as listener:
            path.chmod(0o600)
            yield listener, str(path)


@contextmanager
def asking(address: str, request: Document) -> Iterator[Connection]:
    """The connection on which the reply to a request comes. Raises OSError."""
    with Client(address, "AF_UNIX") as connection:
        send(connection, request)
        yield connection


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


def receive_link(connection: Connection) -> Connection:
    """The link that the process at the other end hands over. Raises OSError and EOFError."""
    return Connection(recv_handle(connection))
