"""What becomes of a job when somebody presses Ctrl-C, and the sentence that says it."""

from contextlib import suppress
from typing import TYPE_CHECKING

from netgraft.cli.session import Session
from netgraft.cli.terminal.language import tr
from netgraft.errors import NetgraftError

if TYPE_CHECKING:
    from netgraft.cli.services import Services


def leave_job(session: Session, services: "Services", job: str) -> str:
    """Leave a job running, or stop it if its netgraft ends with this command. Return what to say.

    A run that is stopped writes a checkpoint first.
    """
    if session.own is None:
        return tr(
            "Job {job} keeps running. `netgraft watch {job}` shows it, `netgraft cancel {job}` "
            "stops it.",
            job=job,
        )
    from netgraft.v1 import tuning_pb2

    with suppress(NetgraftError):  # it has just ended, or our netgraft has: the job is kept
        services.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=job))
    return tr("Job {job} has stopped. `netgraft resume {job}` continues it.", job=job)
