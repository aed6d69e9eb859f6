"""A rank's share of a job, and what becomes of its errors.

Imports torch only when called: what Ray Train is given names `carry_out` without needing it.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING

from netgraft.errors import DiskFull, NetgraftError, TrainingFailed
from netgraft.errors.disk import full_disk_is_reported, is_full
from netgraft.errors.memory import lacks_memory
from netgraft.language import Message
from netgraft.private import make_file, make_folder
from netgraft.settings import settings
from netgraft.store.store import default_store
from netgraft.tuning.jobs.jobs import Jobs

if TYPE_CHECKING:
    from netgraft.tuning.workers.group import Group

RESERVE, RESERVE_BYTES = "reserve", 2**20
"""A file that holds room for the last words of a run."""
FULL_SECONDS = 20.0
"""How long a run that ends by a full disk tries to record that; then it is lost, and resumed."""


def carry_out(job_id: str, group: "Group", ending: Event | None = None) -> None:
    """Run a job as one rank of the group; see `run`.

    An error that another attempt would meet again ends the job before it is raised.
    """
    from netgraft.tuning.workers.run import run

    store = default_store()
    try:
        with space_for_the_end(job_id, group):
            run(job_id, group, store, ending)
    except (NetgraftError, OSError, MemoryError, RuntimeError) as failure:
        if (final := as_final(failure)) is not None:
            _end(Jobs(store), job_id, final)
        raise


@contextmanager
def space_for_the_end(job_id: str, group: "Group") -> Iterator[None]:
    """Within the block rank 0 holds some space on the disk, so that its end can be recorded."""
    if not group.leads:
        yield
        return
    folder = make_folder(settings().folder / "runs" / job_id)
    with full_disk_is_reported(str(folder)):
        make_file(folder / RESERVE).write_bytes(os.urandom(RESERVE_BYTES))  # not compressible
    try:
        yield
    finally:
        (folder / RESERVE).unlink(missing_ok=True)


def _end(jobs: Jobs, job_id: str, final: NetgraftError) -> None:
    """Record why a job ends. Where the disk is full, others may have taken what was let go."""
    attempt = jobs.get(job_id).attempt
    deadline = time.monotonic() + FULL_SECONDS
    while True:
        try:
            return jobs.fail(job_id, attempt, final)
        except DiskFull:
            if time.monotonic() > deadline:
                raise
            time.sleep(1)


def as_final(failure: Exception) -> NetgraftError | None:
    """The NetgraftError for an error that would occur again in another attempt; else None."""
    if isinstance(failure, NetgraftError):
        return failure
    if isinstance(failure, OSError):
        return DiskFull(folder=settings().folder) if is_full(failure) else None
    if not lacks_memory(failure):
        return None
    problem = Message(
        "the device has too little memory for it. Ask for a smaller batch or image size."
    )
    return TrainingFailed(problem=problem)
