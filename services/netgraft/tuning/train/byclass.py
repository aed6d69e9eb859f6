"""The figures that follow from how often each class was there, was hit, and was named."""

from collections.abc import Sequence
from dataclasses import dataclass

from netgraft.tuning.train.calibration import wilson


@dataclass(frozen=True)
class ByClass:
    """Counts by class: its examples, those answered rightly, and the answers that name it."""

    rows: Sequence[Sequence[float]]

    @property
    def examples(self) -> float:
        return sum(own for own, _, _ in self.rows)

    @property
    def correct(self) -> float:
        return sum(hits for _, hits, _ in self.rows)

    @property
    def accuracy(self) -> float:
        return self.correct / max(1.0, self.examples)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval of the accuracy."""
        return wilson(self.correct, self.examples)

    @property
    def majority(self) -> float:
        """The accuracy of always naming the largest class."""
        return max((own for own, _, _ in self.rows), default=0.0) / max(1.0, self.examples)

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall of the classes that there are examples of."""
        return _mean([hits / own for own, hits, _ in self.rows if own])

    @property
    def macro_f1(self) -> float:
        """The mean F1 of the classes that there are examples of, or that were named."""
        return _mean([2 * hits / (own + named) for own, hits, named in self.rows if own + named])

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name, as a job has them."""
        low, high = self.interval
        return {
            "accuracy": self.accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
            "majority": self.majority,
            "balanced_accuracy": self.balanced_accuracy,
            "macro_f1": self.macro_f1,
        }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(1, len(values))
