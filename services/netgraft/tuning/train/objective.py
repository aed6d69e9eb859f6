"""The part of a task that a training step needs: a loss to minimise, and what to count.

Knows no task in particular; each task fulfils it.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from torch import Tensor, nn

Batch = tuple[Any, Any]
"""Inputs of a model and the target: tensors, or lists, tuples and dicts of them."""

Forward = Callable[..., Any]
"""The model as it is called."""


class Tally(Protocol):
    """Sums over examples, so that batches add up, and so do the parts of several workers."""

    def sums(self) -> list[float]:
        """All sums. One that has counted nothing may leave out those at the end."""

    def replace(self, sums: Sequence[float]) -> None:
        """Take these sums, such as those over all ranks, in place of its own."""

    @property
    def metrics(self) -> dict[str, float]:
        """Figures by name. One is "loss": where it is not finite, training has failed."""


class Objective(Protocol):
    """The loss and figures of a task. The criterion is the loss module that the caller chose."""

    def loss(self, criterion: nn.Module, forward: Forward, batch: Batch) -> Tensor:
        """The mean loss of a batch, as a scalar to minimise. The model is in training mode."""

    def tally(self) -> Tally:
        """An empty tally."""

    def measure(self, criterion: nn.Module, forward: Forward, batch: Batch, tally: Any) -> None:
        """Add a batch to the tally. The model is in eval mode; no gradient is kept."""
