"""End with one's parent, even when that is killed."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
"""From Linux's sys/prctl.h."""


def end_with_parent(parent: int) -> None:
    """In the child: end when the parent ends, even if it was killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it ended before we asked
            raise SystemExit(1)
