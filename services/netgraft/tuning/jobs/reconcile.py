"""The reconciler: it restarts runs whose process was lost.

It judges life by the age of the heartbeat alone and does not ask Ray: for minutes after its
head was restarted, Ray reports dead jobs as running.
"""

import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from netgraft.errors import NetgraftError, TrainingFailed
from netgraft.language import Message
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Launcher, NoSubmission

logger = logging.getLogger(__name__)

MOST_LOSSES = 3
"""A job whose run is lost so often without a new checkpoint has failed."""
START_PATIENCE = 4
"""Factor by which a run that was only just submitted may be silent for longer: Ray has to start
a process for it, which on a loaded machine took more than half a minute."""
CHECK_SECONDS = 5.0
"""Between two checks; less when a run is presumed dead after a short silence."""
CHECKS_PER_SILENCE = 6
RETRY_SECONDS = 10.0
"""After which a run that Ray could not accept is submitted again, not counted as a start."""


def submit(job: Job, jobs: Jobs, launcher: Launcher) -> None:
    """Start the present attempt of a queued job.

    When Ray cannot be asked now the job stays queued and the reconciler tries again.
    """
    submission = jobs.submitting(job)
    try:
        launcher.submit(job.id, submission)
    except NoSubmission as problem:
        jobs.not_submitted(job)
        logger.warning("%s could not be submitted yet: %s", submission, problem)


def stop(submission: str, launcher: Launcher) -> None:
    """End a submission's processes if it still runs."""
    try:
        if submission:
            launcher.stop(submission)
    except NoSubmission as problem:
        logger.info("%s was not stopped: %s", submission, problem)


class Reconciler:
    """Looks after the jobs of one store. Several may do so at once: each job is claimed.

    A run without a heartbeat for `silent_seconds` is presumed dead.
    """

    def __init__(
        self,
        jobs: Jobs,
        launcher: Launcher,
        silent_seconds: float,
        waits: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """`waits`: whether a queued submission is known to wait for its places."""
        self.jobs = jobs
        self.launcher = launcher
        self.silent_seconds = silent_seconds
        self.waits = waits

    def start(self) -> None:
        """Check every few seconds, in a thread, for as long as this process lives."""
        threading.Thread(target=self._work, name="reconciler", daemon=True).start()

    def check(self) -> None:
        """Handle every job that Ray did not accept or that has been silent for too long."""
        now = time.time()
        for job in self.jobs.unsubmitted_since(now - RETRY_SECONDS):
            submit(job, self.jobs, self.launcher)
        for job in self.jobs.silent_since(now - self.silent_seconds):
            if job.state is State.QUEUED and self.waits(job.submission):
                self.jobs.beat(job.id, job.submission)
                continue
            patience = START_PATIENCE if job.state is State.QUEUED else 1
            if (job.heartbeat or 0) <= now - patience * self.silent_seconds:
                self.lost(job)

    def lost(self, job: Job) -> None:
        """Start a living job again whose run has ended, or end it."""
        if job.cancel_asked:
            self.jobs.end(job.id, State.CANCELLED)
        elif self.jobs.losses(job.id) + 1 >= MOST_LOSSES:
            problem = Message(
                "its process was lost {times} times without a new checkpoint, as happens when "
                "memory is short: a smaller batch or image size needs less. `netgraft resume "
                "{job}` goes on from the last checkpoint.",
                times=MOST_LOSSES,
                job=job.id,
            )
            self.jobs.end(job.id, State.FAILED, TrainingFailed(problem=problem))
        elif self.jobs.claim(job):
            logger.warning("the run of %s was lost: it is started again", job.id)
            stop(job.submission, self.launcher)
            submit(self.jobs.get(job.id), self.jobs, self.launcher)

    def _work(self) -> None:
        while True:
            time.sleep(min(CHECK_SECONDS, self.silent_seconds / CHECKS_PER_SILENCE))
            try:
                self.check()
            except (SQLAlchemyError, NetgraftError) as problem:
                logger.warning("the reconciler could not check: %s", problem)
