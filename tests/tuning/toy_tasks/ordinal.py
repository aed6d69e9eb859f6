"""A task from outside the package: classes that have an order, such as grades.

The loss is the squared distance of the expected class from the true one, and so are the figures.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.tuning.train import strategies
from netgraft.tuning.train.objective import Batch, Forward
from netgraft.tuning.train.strategies import Defaults, Facts


class Distances:
    """Counts examples, and sums distances and their squares."""

    def __init__(self) -> None:
        self.values = [0.0, 0.0, 0.0]

    def sums(self) -> list[float]:
        return self.values

    def replace(self, sums: Sequence[float]) -> None:
        self.values = list(sums)

    @property
    def metrics(self) -> dict[str, float]:
        count, absolute, squared = self.values
        return {"distance": absolute / max(1.0, count), "loss": squared / max(1.0, count)}


class Ordinal:
    models: tuple[str, ...] = ("ordinal",)
    losses: tuple[str, ...] = ("squared",)

    def criterion(self, loss: str) -> nn.Module:
        return nn.MSELoss()

    def collate(self, examples: Sequence[tuple[Tensor, int]]) -> Batch:
        x_NCHW = torch.stack([x_CHW for x_CHW, _ in examples])
        return x_NCHW, {"grade": torch.tensor([float(label) for _, label in examples])}

    def answer(self, output: Any) -> Tensor:
        """The expected class of each example, from logits_NK."""
        places_K = torch.arange(output.shape[1], dtype=output.dtype, device=output.device)
        return output.softmax(1) @ places_K

    def classes(self, output: Any) -> int:
        return int(output.shape[1])

    def loss(self, criterion: nn.Module, forward: Forward, batch: Batch) -> Tensor:
        x_NCHW, target = batch
        return criterion(self.answer(forward(x_NCHW)), target["grade"])

    def tally(self) -> Distances:
        return Distances()

    def measure(
        self, criterion: nn.Module, forward: Forward, batch: Batch, tally: Distances
    ) -> None:
        x_NCHW, target = batch
        off_N = self.answer(forward(x_NCHW)) - target["grade"]
        added = [len(off_N), float(off_N.abs().sum()), float(off_N.square().sum())]
        tally.values = [sum(pair) for pair in zip(tally.values, added, strict=True)]

    def defaults(self, facts: Facts, *, optimizer: str = "", strategy: str = "") -> Defaults:
        return strategies.usual(facts, optimizer=optimizer or "sgd", strategy=strategy)


TASK = Ordinal()
