"""Memory of processes, as the operating system counts it (Linux; elsewhere 0)."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

KIB = 1024


def used(processes: Sequence[int]) -> int:
    """Bytes that processes hold; what several of them share is counted once (proc(5): Pss)."""
    return sum(map(_share, processes))


def _share(process: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * KIB
    return 0
