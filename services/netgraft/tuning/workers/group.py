"""A training process among its equals, through torch.distributed. Knows no Ray, no data set.

With one worker every method is the identity, and no process group is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)
"""torch's name of the option, which torch 2.15 renamed."""


@dataclass(frozen=True)
class Group:
    """This process's place among the ranks. All ranks call the same methods in the same order."""

    rank: int
    workers: int
    device: torch.device

    @property
    def leads(self) -> bool:
        """True if this is rank 0, which writes and decides for all."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the ranks.

        Running statistics of batch norms are not broadcast with every step: each worker
        keeps its own, and `average_buffers` makes them equal where it matters.
        static_graph allows parameters that a forward pass never uses.
        """
        if self.workers == 1:
            return module
        unsynced: Any = {BUFFERS: False}
        return DistributedDataParallel(
            module, gradient_as_bucket_view=True, static_graph=True, **unsynced
        )

    def average_buffers(self, module: nn.Module) -> None:
        """Make floating-point buffers the mean over the ranks: equal weights everywhere."""
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        if self.workers == 1 or not buffers:
            return
        flat = torch.cat([buffer.flatten().float() for buffer in buffers])
        dist.all_reduce(flat)
        flat /= self.workers
        parts = torch.split(flat, [buffer.numel() for buffer in buffers])
        for buffer, part in zip(buffers, parts, strict=True):
            buffer.copy_(part.view_as(buffer))

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks."""
        if self.workers == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return self._plain(tensor)

    def agree(self, values: Sequence[float]) -> list[float]:
        """Rank 0's values, on every rank."""
        if self.workers == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(tensor, src=0)
        return self._plain(tensor)

    def _plain(self, tensor: Tensor) -> list[float]:
        return [float(value) for value in tensor.tolist()]
