"""A training process among its equals, through torch.distributed. Knows no Ray, no data set.

With one worker every method is the identity, and no process group is needed.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")

BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)
"""torch's name of the option, which torch 2.15 renamed."""


WORKING, DONE, FAILED = range(3)
"""The signs that rank 0 gives the others, which wait for it."""
SIGN_SECONDS = 1.0
"""Between two such signs: an exchange that takes longer than `rank.JOIN_SECONDS` is given up."""


class LeaderFailed(Exception):
    """Rank 0, or another, met an error, which it reports itself."""


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
        keeps its own, and what is measured and stored has statistics averaged over all.
        static_graph allows parameters that a forward pass never uses.
        """
        if self.workers == 1:
            return module
        unsynced: Any = {BUFFERS: False}
        return DistributedDataParallel(
            module, gradient_as_bucket_view=True, static_graph=True, **unsynced
        )

    def average(self, tensors: list[Tensor]) -> None:
        """Make floating-point tensors their mean over the ranks, in place."""
        if self.workers == 1 or not tensors:
            return
        flat = torch.cat([tensor.flatten().float() for tensor in tensors])
        dist.all_reduce(flat)
        flat /= self.workers
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks in order, on rank 0; [] on the others."""
        if self.workers == 1:
            return [value]
        found: list[Any] = [None] * self.workers
        dist.gather_object(value, found if self.leads else None, dst=0)
        return found if self.leads else []

    def share(self, value: T) -> T:
        """Rank 0's value, on every rank."""
        if self.workers == 1:
            return value
        carried = [value]
        dist.broadcast_object_list(carried, src=0)
        return carried[0]

    def lead(self, work: Callable[[], None]) -> None:
        """Let rank 0 do `work` while the others wait, however long it takes.

        An error is raised on rank 0; on the others LeaderFailed.
        """
        if self.workers == 1:
            work()
        elif self.leads:
            with ThreadPoolExecutor(1, "leader") as pool:
                future = pool.submit(work)
                while not wait([future], timeout=SIGN_SECONDS).done:
                    self.agree([WORKING])
                self.agree([FAILED if future.exception() else DONE])
                future.result()
        else:
            while (state := self.agree([WORKING])[0]) == WORKING:
                pass
            if state == FAILED:
                raise LeaderFailed

    def together(self, work: Callable[[], object]) -> None:
        """Let each rank do its own work, however much longer one takes than another.

        An error is raised on the rank that met it; on the others LeaderFailed.
        """
        if self.workers == 1:
            work()
            return
        with ThreadPoolExecutor(1, "share") as pool:
            future = pool.submit(work)
            working = 1.0
            while working:
                ended = bool(wait([future], timeout=SIGN_SECONDS).done)
                failed = ended and future.exception() is not None
                working, failures = self.total([not ended, failed])
        future.result()
        if failures:
            raise LeaderFailed

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over the ranks. Those that have fewer values count as if the rest were 0."""
        if self.workers == 1:
            return list(values)
        most = torch.tensor([len(values)], device=self.device)
        dist.all_reduce(most, dist.ReduceOp.MAX)
        filled = [*values, *[0.0] * (int(most) - len(values))]
        tensor = torch.tensor(filled, dtype=torch.float64, device=self.device)
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
