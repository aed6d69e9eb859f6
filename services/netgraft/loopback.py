"""The addresses by which a machine reaches itself."""

import ipaddress
import socket
from contextlib import suppress

LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Return whether a host, as it stands in HOST:PORT, is this machine's loopback.

    An IPv6 address may stand in brackets. No name but "localhost" is looked up.
    """
    bare = host.strip("[]")
    if bare == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(bare).is_loopback
    return False


def free_port() -> int:
    """Return a port that is free on loopback at this moment."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
