"""Whether a server answers, asked without its client library: the supervisor has no grpc.

One call of grpc.health.v1.Health/Check goes through the whole server, up to its event loop; in
HTTP/2 (RFC 9113) it is a few frames, whose headers need no compression (RFC 7541).
"""

import socket
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

from netgraft.running import reachable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4
STREAM = 1
EMPTY = b"\0" * 5
"""An empty message as gRPC frames it: not compressed, no byte long."""
SERVING = b"\0\0\0\0\2\x08\x01"
"""HealthCheckResponse(status=SERVING), framed."""


def health_answers(host: str, port: int, seconds: float) -> bool:
    """Return whether a gRPC server says within so many seconds that it serves."""
    deadline = time.monotonic() + seconds
    address = (reachable(host).strip("[]"), port)
    with suppress(OSError), socket.create_connection(address, seconds) as connection:
        connection.sendall(_call("/grpc.health.v1.Health/Check", f"{host}:{port}"))
        for kind, payload in _frames(connection, deadline):
            if kind == DATA:
                return payload == SERVING
    return False


def page_answers(url: str, seconds: float) -> bool:
    """Return whether the gateway answers within so many seconds, whatever it says."""
    try:
        urllib.request.urlopen(f"{url}/healthz", timeout=seconds).close()  # noqa: S310  # loopback
    except urllib.error.HTTPError:
        return True
    except OSError:  # URLError, too
        return False
    return True


def _call(path: str, authority: str) -> bytes:
    """A call without a message's content, from the first byte of its connection."""
    headers = b"\x83\x86"  # :method POST, :scheme http
    # Literals, whose names are given by their index or in full.
    headers += b"\x04" + _text(path) + b"\x01" + _text(authority)
    headers += b"\x0f\x10" + _text("application/grpc") + b"\0" + _text("te") + _text("trailers")
    return (
        PREFACE
        + _frame(SETTINGS, 0, 0, b"")
        + _frame(HEADERS, END_HEADERS, STREAM, headers)
        + _frame(DATA, END_STREAM, STREAM, EMPTY)
    )


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()  # below 127 bytes


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def _frames(connection: socket.socket, deadline: float) -> Iterator[tuple[int, bytes]]:
    """The kind and payload of what arrives. Raises OSError at the end and after the deadline."""
    while True:
        size, kind, _, _ = struct.unpack(">IBBI", b"\0" + _read(connection, 9, deadline))
        yield kind, _read(connection, size, deadline)


def _read(connection: socket.socket, size: int, deadline: float) -> bytes:
    data = b""
    while len(data) < size:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        part = connection.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data
