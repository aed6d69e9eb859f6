"""Runs on this machine, which its supervisor starts, and what becomes of those that are lost."""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from netgraft.errors import NetgraftError
from netgraft.store.store import default_store
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity, NoSubmission
from netgraft.tuning.jobs.reconcile import Reconciler, submit

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Between two tries to reach a supervisor that does not answer."""


class Machine(Protocol):
    """The supervisor of this machine, which starts processes."""

    def capacity(self) -> tuple[int, int]:
        """Its cores and GPUs."""

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the reply to it. Raises ConnectionError."""

    def follow(self) -> Iterator[dict[str, Any]]:
        """Yield first the runs that live, then each that ends.

        Raises ConnectionError.
        """


class LocalLauncher:
    """Starts and stops runs through the supervisor of this machine."""

    def __init__(self, machine: Machine, jobs: Jobs | None = None) -> None:
        self.machine = machine
        self.jobs = jobs or Jobs(default_store())

    def capacity(self) -> Capacity:
        return Capacity(*self.machine.capacity())

    def submit(self, job_id: str, submission: str) -> None:
        spec = self.jobs.get(job_id).spec
        facts = {"ranks": spec.workers, "device": spec.device}
        self._ask(do="start", job=job_id, submission=submission, **facts)

    def stop(self, submission: str) -> None:
        self._ask(do="stop", submission=submission)

    def _ask(self, **request: Any) -> None:
        try:
            self.machine.ask(**request)
        except ConnectionError as error:
            raise NoSubmission(str(error)) from error


class Watch:
    """Starts runs again that ended without a word, and those that nobody runs any more.

    It learns of each from the supervisor and reads the database only then.
    """

    def __init__(self, launcher: LocalLauncher, quiet_seconds: float = 0) -> None:
        """`quiet_seconds`: how old its last heartbeat is where a run that is not known is lost."""
        self.launcher = launcher
        self.machine = launcher.machine
        self.quiet_seconds = quiet_seconds
        self.jobs = launcher.jobs
        self.reconciler = Reconciler(launcher.jobs, launcher, silent_seconds=0)

    def start(self) -> None:
        """Watch in a thread, for as long as this process lives."""
        threading.Thread(target=self._work, name="runs", daemon=True).start()

    def look(self) -> None:
        """Submit what is queued and was not: a process may have died before it could do so."""
        try:
            queued = [job for job in self.jobs.alive() if job.state is State.QUEUED]
            if queued:
                self._without(set(self.machine.ask(do="status")["runs"]), queued)
        except (ConnectionError, SQLAlchemyError, NetgraftError) as problem:
            logger.warning("queued jobs were not looked at: %s", problem)

    def _work(self) -> None:
        while True:
            try:
                # In this order: what is submitted between the two is not taken for lost.
                alive = self.jobs.alive()
                news = self.machine.follow()
                self._without(set(next(news)["runs"]), alive)
                for each in news:
                    self._ended(each["job"], each["submission"])
            except (ConnectionError, SQLAlchemyError, NetgraftError) as problem:
                logger.warning("runs are not watched for a moment: %s", problem)
                time.sleep(RETRY_SECONDS)

    def _without(self, living: set[str], alive: list[Job]) -> None:
        """Handle the jobs whose runs are not among those that live."""
        quiet = time.time() - self.quiet_seconds
        for before in alive:
            job = self.jobs.get(before.id)
            if job.submission in living or not job.alive or job.submission != before.submission:
                continue
            if (job.heartbeat or 0) > quiet:
                continue
            if job.state is State.QUEUED and not job.cancel_asked:
                submit(job, self.jobs, self.launcher)  # it has not begun: nothing was lost
            else:
                self.reconciler.lost(job)

    def _ended(self, job_id: str, submission: str) -> None:
        job = self.jobs.get(job_id)
        if job.alive and job.submission == submission:
            self.reconciler.lost(job)
        self.machine.ask(do="release", submission=submission)  # unless the job goes on there
