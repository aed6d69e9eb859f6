"""Running a function that trains under Ray Train: workers, process group, restarts.

Knows no data set and no model. Ray Train v2's own checkpoints are not used: `report` waits
for the controller's next poll, and ours hold the place inside an epoch.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netgraft.private import OTHERS
from netgraft.tuning.jobs.launcher import Capacity

if TYPE_CHECKING:
    from netgraft.tuning.workers.group import Group

logger = logging.getLogger(__name__)

RESTARTS = 2
"""Number of times that workers are restarted after one of them died."""


@dataclass(frozen=True)
class Placement:
    """The number of workers and the resources of each."""

    workers: int
    device: str
    cpus: int

    @classmethod
    def spread(cls, workers: int, device: str, capacity: Capacity) -> "Placement":
        """Workers on CPUs share all cores there are; workers on GPUs need a core each."""
        each = max(1, capacity.cpus // workers) if device == "cpu" else 1
        return cls(workers, device, each)


class WorkersFailed(Exception):
    """The workers failed more often than they are restarted. Its text says how, in one line."""


Work = Callable[[str, "Group"], None]
"""The function that every worker runs, given the run's name and its place in the group."""


def fit(work: Work, placement: Placement, *, name: str, folder: str) -> None:
    """Call `work` in every worker and wait for all. Raises WorkersFailed.

    Waits as long as it takes until the workers' resources are free.
    """
    from ray.train import FailureConfig, RunConfig, ScalingConfig
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
        run_config=RunConfig(
            name=name, storage_path=folder, failure_config=FailureConfig(max_failures=RESTARTS)
        ),
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
