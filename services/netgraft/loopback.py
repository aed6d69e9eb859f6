"""The addresses by which a machine reaches itself."""

import ipaddress
from contextlib import suppress


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
