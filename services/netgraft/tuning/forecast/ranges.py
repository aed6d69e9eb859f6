"""A value that is not known exactly."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Range:
    """A range that holds with a probability of 90 %, and its middle."""

    low: float
    middle: float
    high: float

    @classmethod
    def from_plain(cls, values: Mapping[str, float] | None) -> "Range | None":
        """The range that `plain` wrote; None for None."""
        return cls(**values) if values else None

    def plain(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)

    def times(self, factor: float) -> "Range":
        """This in another unit."""
        return Range(self.low * factor, self.middle * factor, self.high * factor)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high
