"""The counts of one class, and the figures that follow from them. Knows no torch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ClassCounts:
    """The answers to the pictures of one class, and those that name it."""

    pictures: int
    right: int
    named: int
    """Number of pictures, of any class, that were taken for it."""

    @property
    def recall(self) -> float:
        """The share of its pictures that are named so; 0 where it has none."""
        return self.right / max(1, self.pictures)

    @property
    def precision(self) -> float:
        """The share of the pictures named so that are of this class; 0 where there are none."""
        return self.right / max(1, self.named)

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / max(1, self.pictures + self.named)
