"""A run over several nodes: a function that trains under Ray Train, which places its workers.

Knows no data set and no model. Ray Train v2's own checkpoints are not used: `report` waits
for the controller's next poll, and ours hold the place inside an epoch. Nor are its restarts: a
run that has lost a worker is started again as one of a single node is.
"""

import logging
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netgraft.private import OTHERS, make_folder
from netgraft.settings import settings
from netgraft.tuning.workers.worker import carry_out

if TYPE_CHECKING:
    from netgraft.tuning.workers.group import Group

logger = logging.getLogger(__name__)

ENVIRONMENT = {
    # Seconds between the Train controller's polls of its workers, 2 by default: the end of a run
    # waits for one.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    # Each of these would cost a process or two for every run.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_STATE_ACTOR_RECONCILIATION": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}
"""What Ray Train hands on to its controller and workers."""


@dataclass(frozen=True)
class Placement:
    """The number of workers and the resources of each."""

    workers: int
    device: str
    cpus: int


class WorkersFailed(Exception):
    """A worker failed. Its text says how, in one line."""


def spread(job: str, ranks: int, device: str, threads: int) -> None:
    """Carry a job out on several nodes. Raises WorkersFailed."""
    os.environ.update(ENVIRONMENT)
    folder = make_folder(settings().folder / "runs" / job / "ray")
    fit(carry_out, Placement(ranks, device, threads), name=job, folder=str(folder))


Work = Callable[[str, "Group"], None]
"""The function that every worker runs, given the run's name and its place in the group."""


def fit(work: Work, placement: Placement, *, name: str, folder: str) -> None:
    """Call `work` in every worker and wait for all. Raises WorkersFailed.

    Waits as long as it takes until the workers' resources are free.
    """
    from ray.train import RunConfig, ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
    from ray.train.v2.api.exceptions import TrainingFailedError

    from netgraft.tuning.workers.process_group import ProcessGroup

    gpu = placement.device == "gpu"
    resources: dict[str, float] = {"CPU": placement.cpus, **({"GPU": 1} if gpu else {})}
    trainer = DataParallelTrainer(
        _in_worker,
        train_loop_config={"work": work, "name": name, "threads": placement.cpus},
        backend_config=ProcessGroup("nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=placement.workers, use_gpu=gpu, resources_per_worker=resources
        ),
        run_config=RunConfig(name=f"{name}-{secrets.token_hex(4)}", storage_path=folder),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise WorkersFailed(_last_line(error)) from error


def _in_worker(config: dict[str, Any]) -> None:
    import torch
    from ray import train
    from ray.train.torch import get_device

    from netgraft.tuning.workers.group import Group

    os.umask(OTHERS)  # a process of this run alone
    torch.set_num_threads(config["threads"])
    context, device = train.get_context(), get_device()
    if device.type == "cuda":
        torch.cuda.set_device(device)  # of this thread
    group = Group(context.get_world_rank(), context.get_world_size(), device)
    config["work"](config["name"], group)


def _last_line(error: Exception) -> str:
    failures = getattr(error, "worker_failures", {})
    first = next(iter(failures.values()), error)
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    return lines[-1] if lines else type(first).__name__
