"""Checkpoints of a run: the state that all ranks share, and what each has of its own.

A checkpoint only reads: the moment at which it is written changes nothing. It holds the running
statistics of every rank, because DistributedDataParallel gives all ranks those of rank 0 when it
is made: each rank takes its own back after that.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.group import Group


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one job, as a rank sees them. All ranks call the same methods."""

    store: Store
    job: str
    learner: Learner
    group: Group

    def save(self, **facts: Any) -> None:
        """Write the present state, with `facts` in plain values. Raises DiskFull."""
        own = self.group.gather(self._own())
        if not self.group.leads:
            return
        state = {"learner": self.learner.state(), "ranks": own, **facts}
        checkpoint.save(self.store, self.job, self.learner.steps, state)

    def newest(self) -> dict[str, Any] | None:
        """The newest whole checkpoint; None when there is none. All ranks take the same one."""
        return checkpoint.newest(self.store, self.job)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises TrainingFailed."""
        try:
            self.learner.restore(state["learner"])
        except ValueError as error:  # torch's, of an optimizer with other groups
            problem = Message(
                "its checkpoint was written by a version of netgraft that took other layers for "
                "the model's head. Start the tuning again with `netgraft finetune`."
            )
            raise TrainingFailed(problem=problem) from error
        ranks = state.get("ranks", [])  # netgraft 0.2 kept none
        if len(ranks) == self.group.workers:
            with torch.no_grad():
                for live, kept in zip(
                    self.learner.own_buffers(), ranks[self.group.rank], strict=True
                ):
                    live.copy_(kept)

    def _own(self) -> list[Tensor]:
        return [buffer.detach().cpu() for buffer in self.learner.own_buffers()]
