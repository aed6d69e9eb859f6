"""A process that does one thing and ends: it collects little garbage, and leaves at once.

With torch imported, collecting what will not go away takes a seventh of a command's time, and
taking the interpreter apart at its end a quarter.
"""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress

OBJECTS = 100_000
"""Objects that are made before garbage is looked for; Python's own number is 700."""


def begin() -> None:
    """Let imports make their objects, which stay, without a look at all of them each time."""
    gc.set_threshold(OBJECTS, *gc.get_threshold()[1:])


def leave(done: SystemExit) -> None:
    """End the process as `done` says, after what was registered for its end.

    Returns where a thread still works, or where there is something to say: Python waits and
    says it.
    """
    if not isinstance(done.code, int | None) or _works_on():
        return
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has gone, or it was closed
            stream.flush()
    os._exit(done.code or 0)


def _works_on() -> bool:
    """Return whether there is a thread that Python would wait for."""
    others = (thread for thread in threading.enumerate() if thread is not threading.main_thread())
    return any(not thread.daemon for thread in others)
