"""A rank of a run, in a process of its own: it joins its group and does its share."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event

import torch
from torch import distributed

from netgraft.settings import settings
from netgraft.tuning.data.arrow import keep_pandas_out
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.worker import carry_out

JOIN_SECONDS = 60
"""How long a rank waits for the others, at the start and in every exchange."""


def work(job: str, rank: int, ranks: int, threads: int, device: str, meeting: str) -> None:
    """Do a rank's share of a job. `meeting`: the file by which the ranks find each other."""
    ending = Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor says when, by SIGTERM
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    logging.basicConfig(level=settings().log_level)
    keep_pandas_out()
    if device == "gpu":  # before CUDA is touched
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = visible.split(",") if visible else [str(each) for each in range(ranks)]
        os.environ["CUDA_VISIBLE_DEVICES"] = names[rank]
    torch.set_num_threads(threads)
    where = torch.device("cuda", 0) if device == "gpu" else torch.device("cpu")
    with _joined(rank, ranks, device, meeting):
        carry_out(job, Group(rank, ranks, where), ending)


@contextmanager
def _joined(rank: int, ranks: int, device: str, meeting: str) -> Iterator[None]:
    if ranks == 1:
        yield
        return
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # they are all on this machine
    distributed.init_process_group(
        "nccl" if device == "gpu" else "gloo",
        init_method=f"file://{meeting}",
        rank=rank,
        world_size=ranks,
        timeout=timedelta(seconds=JOIN_SECONDS),
    )
    try:
        yield
    finally:
        distributed.destroy_process_group()
