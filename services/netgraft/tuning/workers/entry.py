"""The driver of a tuning run: `python -m netgraft.tuning.workers.entry JOB RAY_ADDRESS`.

It lives as long as the run: it writes heartbeats to the database, starts the workers, and
records how the run ended when they could not. Torch is first imported in the workers' processes.
"""

import logging
import os
import sys
import threading
import time

from netgraft.errors import TrainingFailed
from netgraft.language import Message, quoted
from netgraft.private import OTHERS, make_folder
from netgraft.settings import settings
from netgraft.store.store import default_store
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs

logger = logging.getLogger(__name__)

BEAT_SECONDS = 2.0
GRACE_SECONDS = 10.0
"""How long the workers may take to leave after the job has ended."""


def main(job_id: str, address: str) -> None:
    """Carry a job out on the Ray at that address. Raises UnknownJob."""
    os.umask(OTHERS)  # Ray Train writes too
    logging.basicConfig(level=settings().log_level)
    jobs = Jobs(default_store())
    job = jobs.get(job_id)
    threading.Thread(target=_show_life, args=(jobs, job), name="pulse", daemon=True).start()
    from netgraft.tuning.workers.distribute import WorkersFailed

    try:
        _fit(job, address)
    except WorkersFailed as failure:
        logger.error("%s: %s", job_id, failure)
        jobs.lose(job_id, job.submission, _as_error(str(failure)))
    else:
        lost = TrainingFailed(problem=Message("its workers ended without a result."))
        jobs.lose(job_id, job.submission, lost)


def _fit(job: Job, address: str) -> None:
    import ray

    from netgraft.tuning.workers.distribute import Placement, fit
    from netgraft.tuning.workers.launch import RayLauncher
    from netgraft.tuning.workers.worker import carry_out

    ray.init(address=address, logging_level=logging.WARNING)
    spec = job.spec
    placement = Placement.spread(spec.workers, spec.device, RayLauncher().capacity())
    folder = make_folder(settings().folder / "runs" / job.id / "ray")
    fit(carry_out, placement, name=job.id, folder=str(folder))


def _as_error(line: str) -> TrainingFailed:
    if "died" in line.lower() or "killed" in line.lower():
        problem = Message(
            "a worker process died again and again. When memory is short, a smaller batch "
            "size or image size helps; `netgraft resume` goes on from the last checkpoint."
        )
    else:
        problem = Message(
            "{report} `netgraft resume` goes on from the last checkpoint.", report=quoted(line)
        )
    return TrainingFailed(problem=problem)


def _show_life(jobs: Jobs, job: Job) -> None:
    """Send heartbeats until the job is no longer ours, then make sure that no process stays."""
    while jobs.beat(job.id, job.submission):
        time.sleep(BEAT_SECONDS)
    time.sleep(GRACE_SECONDS)
    logger.warning("%s has ended; its workers are ended with this process", job.id)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:3])
