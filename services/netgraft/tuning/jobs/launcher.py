"""The interface by which jobs start and stop runs. `workers/launch.py` implements it on Ray."""

from dataclasses import dataclass
from typing import Protocol


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
