"""The interface by which jobs start and stop runs. `workers/local.py` implements it."""

from dataclasses import dataclass
from typing import Protocol

from netgraft.errors import Unreachable
from netgraft.settings import settings


class NoSubmission(Exception):
    """A run could not be submitted or stopped: there was no answer."""


@dataclass(frozen=True)
class Capacity:
    """All processors, whether or not they are in use."""

    cpus: int
    gpus: int


class Launcher(Protocol):
    """Starts and stops runs."""

    def capacity(self) -> Capacity:
        """All processors of the cluster. Raises Unreachable when there is no answer."""

    def submit(self, job_id: str, submission: str) -> None:
        """Start a run. Raises NoSubmission."""

    def stop(self, submission: str) -> None:
        """End a run and its processes soon; does nothing if it has ended. Raises NoSubmission."""


class NoLauncher:
    """A launcher that starts no runs, for the command line's own process."""

    def capacity(self) -> Capacity:
        raise Unreachable(address=settings().server)

    def submit(self, job_id: str, submission: str) -> None:
        raise NoSubmission

    def stop(self, submission: str) -> None:
        raise NoSubmission
