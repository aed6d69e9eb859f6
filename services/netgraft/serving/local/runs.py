"""The runs of this machine: first come, first served, on as many cores and GPUs as there are."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from netgraft.serving.forks.cores import usable_cores, usable_gpus
from netgraft.serving.forks.forks import Forks, Task
from netgraft.serving.forks.ranks import Ranks, rank_tasks

KEPT_SECONDS = 5.0
"""How long the place of a lost run is kept, so that it does not begin behind all others."""


@dataclass
class Run:
    """A run that waits for its places, or has them."""

    job: str
    submission: str
    ranks: int
    device: str
    folder: Path
    processes: Ranks = field(default_factory=Ranks)
    stopped: bool = False
    lost: bool = False
    """It ended without a result. Its place is kept for a moment, for the run that goes on."""

    @property
    def threads(self) -> int:
        """Threads of each rank: on CPUs the ranks share all cores."""
        return max(1, usable_cores() // self.ranks) if self.device == "cpu" else 1

    @property
    def places(self) -> tuple[int, int]:
        """The cores and GPUs that it holds while it runs."""
        return (0, self.ranks) if self.device == "gpu" else (usable_cores(), 0)


class Runs:
    """Starts each run when there is room for it, and says when it has ended."""

    def __init__(self, forks: Forks, rank: str, ended: Callable[[Run], None]) -> None:
        self.forks = forks
        self.rank = rank
        """The function of a rank, by its dotted name."""
        self.ended = ended
        self._runs: dict[str, Run] = {}
        self._changed = threading.Condition()

    def living(self) -> list[str]:
        """Submissions that wait or run, oldest first."""
        with self._changed:
            return [name for name, run in self._runs.items() if not run.lost]

    def start(self, run: Run) -> None:
        """Take a run on; its ranks are forked when its turn has come."""
        with self._changed:
            if run.submission in self._runs:
                return
            self._runs = {each.submission: each for each in self._with(run)}
            self._changed.notify_all()
        threading.Thread(target=self._carry_out, args=(run,), daemon=True).start()

    def _with(self, run: Run) -> list[Run]:
        """All runs: a new one comes last, or in the place of the one that it goes on from."""
        before = list(self._runs.values())
        for index, each in enumerate(before):
            if each.lost and each.job == run.job:
                return [*before[:index], run, *before[index + 1 :]]
        return [*before, run]

    def signal(self, submission: str, number: int) -> None:
        """Send a signal to a run's processes; one that waits for its places never starts."""
        with self._changed:
            run = self._runs.get(submission)
            if run and not run.lost:
                run.stopped = True
                self._changed.notify_all()
                run.processes.signal(number)

    def release(self, submission: str) -> None:
        """Give up the place that is kept for a run which was lost, unless it is taken again."""
        with self._changed:
            if (run := self._runs.get(submission)) and run.lost:
                del self._runs[submission]
                self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """Wait until no run lives; False if one still does."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(run.lost for run in self._runs.values()), seconds
            )

    def _carry_out(self, run: Run) -> None:
        whole = False
        try:
            with self._changed:
                self._changed.wait_for(lambda: run.stopped or self._turn_of(run))
            if not run.stopped:
                run.processes.start(self.forks.start, self._tasks(run))
                whole = run.processes.join()
        finally:
            with self._changed:
                run.lost = not whole and not run.stopped
                self._changed.notify_all()
                if not run.lost:
                    del self._runs[run.submission]
            self.ended(run)
            if run.lost:
                self._keep_place(run)

    def _keep_place(self, run: Run) -> None:
        """Until another run has taken the place, or whoever heard of the loss gives it up."""
        with self._changed:
            self._changed.wait_for(lambda: run.submission not in self._runs, KEPT_SECONDS)
        self.release(run.submission)

    def _turn_of(self, run: Run) -> bool:
        """Return whether what all that came before leave is enough."""
        cores, gpus = usable_cores(), usable_gpus()
        for each in self._runs.values():
            cores, gpus = cores - each.places[0], gpus - each.places[1]
            if each is run:
                return cores >= 0 and gpus >= 0
        return False

    def _tasks(self, run: Run) -> list[Task]:
        return rank_tasks(
            self.rank,
            run.job,
            run.submission,
            ranks=run.ranks,
            threads=run.threads,
            device=run.device,
            folder=run.folder,
        )
