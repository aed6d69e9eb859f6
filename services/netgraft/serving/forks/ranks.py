"""The processes of one run on this machine: all of them live, or none does."""

import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from netgraft.private import make_folder
from netgraft.serving.forks.forks import Fork, Task

RANK = "netgraft-rank"
"""What ranks are called in `top`."""
EXPENDABLE = 600
"""More than a tensor worker, in whose call somebody waits: a run that is short of memory fails
alone."""

NICE = 10
"""A run takes all cores, for long; what somebody waits for at the page comes first."""


def rank_tasks(
    function: str,
    job: str,
    submission: str,
    *,
    ranks: int,
    threads: int,
    device: str,
    folder: Path,
) -> list[Task]:
    """The work of each rank of a job's run. In the folder they find each other, and have a log."""
    meeting = make_folder(folder) / f"{submission}.meeting"
    meeting.unlink(missing_ok=True)
    shared = {"job": job, "ranks": ranks, "threads": threads, "device": device}
    return [
        Task(
            function,
            {**shared, "rank": rank, "meeting": str(meeting)},
            log=folder / "run.log",
            name=RANK,
            expendable=EXPENDABLE,
            nice=NICE,
        )
        for rank in range(ranks)
    ]


class Ranks:
    """The ranks of a run, which whoever holds this object keeps alive."""

    def __init__(self) -> None:
        self._forks: list[Fork] = []
        self._lost = False
        self._lock = threading.Lock()

    def start(self, fork: Callable[[Task], Fork], tasks: Sequence[Task]) -> None:
        """Fork them all, unless they have been killed meanwhile."""
        for task in tasks:
            started = fork(task)
            with self._lock:
                self._forks.append(started)
                if self._lost:
                    started.signal()

    def signal(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all that live; those to come get SIGKILL after it."""
        with self._lock:
            self._lost = True
            for fork in self._forks:
                fork.signal(number)

    def join(self) -> bool:
        """Wait for the end of all; one that is lost takes the others with it.

        True when each has returned.
        """
        results = [False] * len(self._forks)

        def follow(place: int) -> None:
            results[place] = self._forks[place].result()
            if not results[place]:
                self.signal()

        threads = [threading.Thread(target=follow, args=(i,)) for i in range(len(results))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return all(results)
