"""The protocol of tasks, so that one training loop serves all of them.

Shapes: N batch, C channels, H and W pixels.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn

from netgraft.tuning.train.objective import Batch, Objective
from netgraft.tuning.train.strategies import Defaults, Facts


class Task(Objective, Protocol):
    """One kind of answer that a model is trained to give. Its file holds one, named `TASK`."""

    models: tuple[str, ...]
    """The catalogue's tasks of the models that it trains, such as ("classification",)."""

    losses: tuple[str, ...]
    """Names of the losses that fit it, the usual one first."""

    def criterion(
        self, loss: str, smoothing: float = 0.0, class_weights_K: Tensor | None = None
    ) -> nn.Module:
        """The module of one of the losses. Smoothing and weights are for tasks with classes."""

    def collate(self, examples: Sequence[tuple[Tensor, Any]]) -> Batch:
        """Pairs of x_CHW (uint8) and label as a batch: labels become the target here."""

    def answer(self, output: Any) -> Any:
        """The answer in a model's output, without auxiliary outputs."""

    def classes(self, output: Any) -> int:
        """Number of classes in a model's output."""

    def defaults(self, facts: Facts, *, optimizer: str, strategy: str) -> Defaults:
        """The values chosen where the request has none; "" for those left open."""
