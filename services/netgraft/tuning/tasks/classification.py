"""One class for the whole picture.

Shapes: N batch, K classes, C channels, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.models.losses.catalogue import fitting, make_loss
from netgraft.tuning.train import strategies
from netgraft.tuning.train.objective import Batch, Forward
from netgraft.tuning.train.strategies import Defaults, Facts

AUXILIARY_WEIGHT = 0.3
"""Weight of an auxiliary head's loss (GoogLeNet, arXiv:1409.4842, section 5)."""

NOTHING_IGNORED = -100
"""No class has this index: a pixel may be of class "ignore", a whole picture may not."""


@dataclass
class Tally:
    """Counts examples and correct answers, and sums the losses."""

    examples: float = 0
    correct: float = 0
    loss: float = 0

    def sums(self) -> list[float]:
        return [self.examples, self.correct, self.loss]

    def replace(self, sums: Sequence[float]) -> None:
        self.examples, self.correct, self.loss = sums

    @property
    def metrics(self) -> dict[str, float]:
        """Share of correct answers and mean loss."""
        count = max(1.0, self.examples)
        return {"accuracy": self.correct / count, "loss": self.loss / count}


class Classification:
    """Labels are class indices; the target is labels_N (long), the answer logits_NK."""

    models = ("classification", "unknown")
    losses = fitting("classification")

    def criterion(self, loss: str) -> nn.Module:
        return make_loss(loss, ignore_index=NOTHING_IGNORED)

    def collate(self, examples: Sequence[tuple[Tensor, int]]) -> Batch:
        x_NCHW = torch.stack([x_CHW for x_CHW, _ in examples])
        return x_NCHW, torch.tensor([label for _, label in examples])

    def answer(self, output: Any) -> Tensor:
        return every_logits(output)[0]

    def classes(self, output: Any) -> int:
        return int(self.answer(output).shape[1])

    def loss(self, criterion: nn.Module, forward: Forward, batch: Batch) -> Tensor:
        """The main head's loss and, by `AUXILIARY_WEIGHT`, that of each auxiliary head."""
        x_NCHW, labels_N = batch
        main, *auxiliary = every_logits(forward(x_NCHW))
        loss: Tensor = criterion(main.float(), labels_N)
        for logits_NK in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * criterion(logits_NK.float(), labels_N)
        return loss

    def tally(self) -> Tally:
        return Tally()

    def measure(self, criterion: nn.Module, forward: Forward, batch: Batch, tally: Tally) -> None:
        x_NCHW, labels_N = batch
        logits_NK = self.answer(forward(x_NCHW)).float()
        tally.examples += len(labels_N)
        tally.correct += float((logits_NK.argmax(1) == labels_N).sum())
        tally.loss += float(criterion(logits_NK, labels_N)) * len(labels_N)

    def defaults(self, facts: Facts, *, optimizer: str = "", strategy: str = "") -> Defaults:
        return strategies.usual(facts, optimizer=optimizer, strategy=strategy)


def every_logits(output: Any) -> list[Tensor]:
    """The main logits_NK first, then those of auxiliary heads.

    torchvision's GoogLeNet and Inception name their fields; others return a tuple or list.
    """
    if isinstance(output, Tensor):
        return [output]
    if hasattr(output, "logits"):
        others = (getattr(output, name) for name in output._fields if name != "logits")
        return [output.logits, *(tensor for tensor in others if tensor is not None)]
    return [tensor for tensor in output if isinstance(tensor, Tensor)]


TASK = Classification()
