"""How well a model answers, in figures: counts that add up over batches and ranks.

Shapes: N examples, K classes, B bins.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from netgraft.tuning.results.classcounts import ClassCounts
from netgraft.tuning.train.byclass import ByClass

BINS = 15
"""Of equal width, for the calibration error (Guo et al. 2017, arXiv:1706.04599)."""


class Counts:
    """Counts of who was taken for whom, of how sure the model was, and the sum of its losses."""

    def __init__(self, classes: int) -> None:
        self.confusion_KK = torch.zeros(classes, classes, dtype=torch.float64)
        """Rows: the true class; columns: the class that was named."""
        self.bins_3B = torch.zeros(3, BINS, dtype=torch.float64)
        """By certainty: examples, right answers, and the sum of the probabilities."""
        self.loss = 0.0

    def add(self, logits_NK: Tensor, labels_N: Tensor, temperature: float = 1.0) -> None:
        """Count the answers to a batch. Labels are indices of the logits."""
        logits_NK, labels_N = logits_NK.double().cpu(), labels_N.cpu()
        named_N = logits_NK.argmax(1)
        self.confusion_KK.index_put_(
            (labels_N, named_N), torch.ones(len(labels_N), dtype=torch.float64), accumulate=True
        )
        log_NK = (logits_NK / temperature).log_softmax(1)
        self.loss -= float(log_NK.gather(1, labels_N[:, None]).sum())
        sure_N = log_NK.max(1).values.exp()
        bin_N = (sure_N * BINS).long().clamp(0, BINS - 1)
        right_N = (named_N == labels_N).double()
        self.bins_3B.index_add_(1, bin_N, torch.stack([torch.ones_like(sure_N), right_N, sure_N]))

    def sums(self) -> list[float]:
        """All sums as one list, as long on every rank."""
        return [self.loss, *self.bins_3B.flatten().tolist(), *self.confusion_KK.flatten().tolist()]

    def replace(self, sums: Sequence[float]) -> None:
        """Take these sums, such as those over all ranks, in place of its own."""
        self.loss, bins = sums[0], 3 * BINS
        self.bins_3B = torch.tensor(sums[1 : 1 + bins], dtype=torch.float64).view(3, BINS)
        confusion = torch.tensor(sums[1 + bins :], dtype=torch.float64)
        self.confusion_KK = confusion.view_as(self.confusion_KK)

    def ordered(self, outputs: Sequence[int]) -> "Counts":
        """The same counts with the classes in the order of these outputs, all of them."""
        found, index = Counts(len(outputs)), torch.tensor(outputs)
        found.confusion_KK = self.confusion_KK[index][:, index]
        found.bins_3B, found.loss = self.bins_3B, self.loss
        return found

    @property
    def by_class(self) -> ByClass:
        """The counts of each class, and the figures that follow from them alone."""
        matrix_KK = self.confusion_KK
        columns = (matrix_KK.sum(1), matrix_KK.diagonal(), matrix_KK.sum(0))
        return ByClass(torch.stack(columns, 1).tolist())

    @property
    def examples(self) -> int:
        return int(self.confusion_KK.sum())

    @property
    def correct(self) -> int:
        return int(self.confusion_KK.diagonal().sum())

    def of_classes(self) -> list[ClassCounts]:
        """The counts of every class, in index order."""
        return [ClassCounts(*map(int, row)) for row in self.by_class.rows]

    @property
    def calibration_error(self) -> float:
        """The distance between certainty and share of right answers, weighted by examples."""
        examples_B, right_B, sure_B = self.bins_3B
        return float((right_B - sure_B).abs().sum() / examples_B.sum().clamp(min=1))

    @property
    def mean_loss(self) -> float:
        """The mean negative log-likelihood of the right classes."""
        return self.loss / max(1, self.examples)

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name, as a job has them."""
        return self.by_class.metrics | {
            "calibration_error": self.calibration_error,
            "loss": self.mean_loss,
        }
