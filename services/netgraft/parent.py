"""End with one's parent, or another process, even when that is killed."""

import ctypes
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

PR_SET_PDEATHSIG = 1
"""From Linux's sys/prctl.h."""


def end_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """In the child: get a signal when the parent ends, even if it was killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before we asked
            raise SystemExit(1)


def when_gone(pid: int, then: Callable[[], None]) -> None:
    """Call a function, in a thread, when a process has ended, whosever child it is."""

    def watch() -> None:
        with suppress(ProcessLookupError):
            _wait(pid)
        then()

    threading.Thread(target=watch, name=f"until {pid} ends", daemon=True).start()


def _wait(pid: int) -> None:
    if hasattr(os, "pidfd_open"):
        ended = select.poll()
        ended.register(os.pidfd_open(pid), select.POLLIN)
        ended.poll()
    else:  # not Linux
        import psutil

        psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [])
