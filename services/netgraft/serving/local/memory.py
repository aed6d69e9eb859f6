"""The memory that a tensor worker may take, and how its want is reported."""

import os
import resource
from contextlib import suppress
from pathlib import Path

from netgraft.errors import NetgraftError, OutOfMemory
from netgraft.errors.memory import lacks_memory

SHARE = 0.75
"""Of the machine's memory that one worker may take."""
LIMIT = Path("/sys/fs/cgroup/memory.max")


def machine_bytes() -> int:
    """The memory of this machine, or of the container that we run in."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no cgroup, or "max"
        return min(whole, int(LIMIT.read_text()))
    return whole


def limit_memory() -> None:
    """Refuse this process what is beyond its share."""
    most = int(machine_bytes() * SHARE)
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def memory_error(error: BaseException) -> NetgraftError | None:
    """OutOfMemory where that is what an error means; else None."""
    return OutOfMemory() if lacks_memory(error) else None
