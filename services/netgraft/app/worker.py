"""A tensor worker of the local engine: its servicers and where it starts runs."""

from multiprocessing.connection import Connection

from netgraft.app.graft import graft
from netgraft.serving.local.control import Supervisor
from netgraft.serving.local.worker import Worker
from netgraft.tuning.data.arrow import keep_pandas_out
from netgraft.tuning.workers.local import LocalLauncher


def serve(link: Connection) -> None:
    """Answer the calls that come over a link, until it closes."""
    keep_pandas_out()
    tuning = {"launcher": LocalLauncher(Supervisor()), "graft": graft}
    Worker(link, {"tuning": tuning}).serve()
