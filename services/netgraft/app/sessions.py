"""Ending all processes of a session, whoever their parents are."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress

import psutil

PASSES = 100
"""A process may have started another between two passes, each of 0.02 s."""


def end_session(leader: int, but: int = 0) -> None:
    """Kill every process of the session that a process has made, `but` one."""
    for _ in range(PASSES):
        living = [pid for pid in _members(leader) if pid != but]
        if not living:
            return
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)


def lives(process: psutil.Process) -> bool:
    """Return whether a process has not ended, also when its parent has not noticed yet."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _members(leader: int) -> Iterator[int]:
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader and lives(process):
                yield process.pid
