"""The last module that the fork server imports: what was imported before it stays.

The objects lie on pages that forks share as long as nobody writes to them, and the collector
writes to each object that it looks at.
"""

import atexit
import gc
import os
from contextlib import suppress
from pathlib import Path

with suppress(OSError):  # not Linux
    Path("/proc/self/comm").write_text("netgraft-forks")

SERVER = os.getpid()

os.setpgid(0, 0)  # Ctrl-C is for the supervisor, which ends the others in order
gc.collect()
gc.freeze()


@atexit.register
def _leave() -> None:
    """End the fork server, not its forks, without a report of objects that libraries left over."""
    if os.getpid() == SERVER:
        os._exit(0)
