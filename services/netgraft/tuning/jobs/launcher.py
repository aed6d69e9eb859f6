"""What jobs need to have runs carried out. `workers/launch.py` does it on Ray."""

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
    """Where runs are carried out."""

    def capacity(self) -> Capacity:
        """The processors that there are. Raises Unreachable when there is no answer."""

    def submit(self, job_id: str, submission: str) -> None:
        """Start a run. Raises NoSubmission."""

    def stop(self, submission: str) -> None:
        """End a run and its processes soon; do nothing when it is over. Raises NoSubmission."""
