"""One class for the whole picture.

Shapes: N batch, K classes, C channels, H and W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from netgraft.models.losses.catalogue import SMOOTHING, fitting, make_loss
from netgraft.tuning.train import strategies
from netgraft.tuning.train.byclass import ByClass
from netgraft.tuning.train.objective import Batch, Forward
from netgraft.tuning.train.strategies import Defaults, Facts

AUXILIARY_WEIGHT = 0.3
"""Weight of an auxiliary head's loss (GoogLeNet, arXiv:1409.4842, section 5)."""

NOTHING_IGNORED = -100
"""No class has this index: a pixel may be of class "ignore", a whole picture may not."""


@dataclass
class Tally:
    """Counts examples and answers by class, and sums the losses."""

    examples: float = 0
    loss: float = 0
    by_class: list[list[float]] = field(default_factory=list)
    """For each class: its examples, those answered rightly, and the answers that name it."""
    right: list[bool] = field(default_factory=list)
    """Whether each example was answered rightly, in the order in which they came."""

    @property
    def correct(self) -> float:
        return ByClass(self.by_class).correct

    def add(self, answers_N: Tensor, labels_N: Tensor, classes: int, loss: float) -> None:
        """Count a batch; `loss` is its mean."""
        hits_N = answers_N == labels_N
        counted = [
            torch.bincount(each, minlength=classes).tolist()
            for each in (labels_N, labels_N[hits_N], answers_N)
        ]
        before = self.by_class or [[0.0] * 3] * classes
        self.by_class = [
            [old + new for old, new in zip(row, counts, strict=True)]
            for row, counts in zip(before, zip(*counted, strict=True), strict=True)
        ]
        self.right += hits_N.tolist()
        self.examples += len(labels_N)
        self.loss += loss * len(labels_N)

    def sums(self) -> list[float]:
        return [self.examples, self.loss, *(value for row in self.by_class for value in row)]

    def replace(self, sums: Sequence[float]) -> None:
        self.examples, self.loss = sums[:2]
        self.by_class = [list(sums[at : at + 3]) for at in range(2, len(sums), 3)]

    @property
    def metrics(self) -> dict[str, float]:
        """Share of correct answers with its interval, what chance and each class make of it, and
        the mean loss.
        """
        return ByClass(self.by_class).metrics | {"loss": self.loss / max(1.0, self.examples)}


class Classification:
    """Labels are class indices; the target is labels_N (long), the answer logits_NK."""

    models = ("classification", "unknown")
    losses = fitting("classification")

    def criterion(
        self, loss: str, smoothing: float = 0.0, class_weights_K: Tensor | None = None
    ) -> nn.Module:
        if smoothing and loss == "cross_entropy":
            loss = "label_smoothing"
        return make_loss(
            loss,
            class_weights=class_weights_K,
            smoothing=smoothing or SMOOTHING,
            ignore_index=NOTHING_IGNORED,
        )

    def collate(self, examples: Sequence[tuple[Tensor, int]]) -> Batch:
        # As pictures lie in memory, channels last, so that no pixel has to be moved.
        x_NCHW = torch.stack([x_CHW.movedim(0, -1) for x_CHW, _ in examples]).movedim(-1, 1)
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
        loss = float(criterion(logits_NK, labels_N))
        tally.add(logits_NK.argmax(1), labels_N, logits_NK.shape[1], loss)

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
