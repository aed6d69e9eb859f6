"""The fork server of a node of Ray: `python -m netgraft.app.node SOCKET RAYLET`.

It ends with the raylet, and when nobody has needed it for a while.
"""

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path

from netgraft.app.preloaded import RANKS
from netgraft.parent import when_gone
from netgraft.private import OTHERS
from netgraft.serving.cluster.forker import Forker


def main(path: str, raylet: str) -> int:
    """Serve until nobody needs it, and return exit status 0."""
    os.umask(OTHERS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forker = Forker(RANKS)
    when_gone(int(raylet), forker.end)
    forker.serve(Path(path))
    return 0


def answer(link: Connection) -> None:
    """Answer calls of the Models and Tuning services, as a tensor worker in a fork."""
    from netgraft.app.graft import graft
    from netgraft.serving.cluster.relay import Relayed
    from netgraft.serving.local.worker import Worker
    from netgraft.tuning.workers.local import LocalLauncher

    Worker(link, {"tuning": {"launcher": LocalLauncher(Relayed()), "graft": graft}}).serve()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
