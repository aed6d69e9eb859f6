"""End with one's parent, even when that is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From Linux's sys/prctl.h."""


def end_with_parent(parent: int, number: int = signal.SIGTERM) -> None:
    """In the child: get a signal when the parent ends, even if it was killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:  # it ended before we asked
            raise SystemExit(1)
