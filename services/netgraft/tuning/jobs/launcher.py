"""Where runs are carried out, as the jobs see it. `workers/launch.py` has the one on Ray."""

from dataclasses import dataclass
from typing import Protocol


class NoSubmission(Exception):
    """Whoever carries out runs could not be asked."""


@dataclass(frozen=True)
class Capacity:
    """What there is in all, whether or not it is in use."""

    cpus: int
    gpus: int


class Launcher(Protocol):
    """Where runs are carried out."""

    def capacity(self) -> Capacity:
        """What there is. Raises Unreachable when there is nobody to ask."""

    def submit(self, job_id: str, submission: str) -> None:
        """Start a run. Raises NoSubmission."""

    def stop(self, submission: str) -> None:
        """End a run and its processes, soon; quietly when it is over. Raises NoSubmission."""
