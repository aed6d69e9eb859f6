"""Ceilings of time and money: the moment by which a job has to have ended. Knows no torch."""

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.spec import Spec

MINUTE, HOUR = 60.0, 3600.0


def price(device: str) -> float:
    """The price of an hour of one place, a GPU or a CPU core; 0 where none is set."""
    known = settings()
    return known.price_gpu_hour if device == "gpu" else known.price_cpu_hour


def check_price(max_cost: float | None, device: str) -> None:
    """Raise NotPossible for a ceiling of money where nothing has a price."""
    if max_cost and not price(device):
        name = "NETGRAFT_PRICE_GPU_HOUR" if device == "gpu" else "NETGRAFT_PRICE_CPU_HOUR"
        problem = Message(
            "a ceiling of cost needs a price. Set {name} to that of an hour, start the server "
            "again, and ask again; or give a ceiling of time, in minutes.",
            name=name,
        )
        raise NotPossible(problem=problem)


def seconds(spec: Spec) -> float | None:
    """The seconds that a job may take in all; None without a ceiling.

    Money is for all places that it holds: its GPUs, or the cores of all its processes.
    """
    found = []
    if spec.max_minutes:
        found.append(spec.max_minutes * MINUTE)
    hourly = price(spec.device) * spec.workers * (1 if spec.device == "gpu" else spec.threads or 1)
    if spec.max_cost and hourly:
        found.append(spec.max_cost / hourly * HOUR)
    return min(found, default=None)


def deadline(job: Job, spec: Spec) -> float | None:
    """The moment by which a job has to have ended, in seconds since the epoch; None: any."""
    allowed = seconds(spec)
    return None if allowed is None else (job.resolved.resumed.since or job.created) + allowed
