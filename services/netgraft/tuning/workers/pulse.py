"""The heartbeat of a run, for as long as its job is alive."""

import logging
import time

from sqlalchemy.exc import SQLAlchemyError

from netgraft.store.store import default_store
from netgraft.tuning.jobs.jobs import Jobs

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0


def show_life(job: str, submission: str) -> None:
    """Send heartbeats, and return when the job is no longer this submission's."""
    jobs = Jobs(default_store())
    while _beats(jobs, job, submission):
        time.sleep(BEAT_SECONDS)


def _beats(jobs: Jobs, job: str, submission: str) -> bool:
    try:
        return jobs.beat(job, submission)
    except SQLAlchemyError as problem:
        logger.warning("%s could not show that it lives: %s", submission, problem)
        return True
