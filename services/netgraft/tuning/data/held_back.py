"""Training pictures that are held back, by which a run chooses: epoch, weights, strategy.

What measures the result (`held_out`, `test`) chooses nothing.
"""

from collections.abc import Collection
from dataclasses import dataclass

from netgraft.tuning.data.manifest import PARTS, Manifest
from netgraft.tuning.data.split import held_out

HELD_BACK_SHARE = 0.15
MOST_HELD_BACK = 2_000
"""Training pictures held back to choose by: more would only cost."""


@dataclass(frozen=True)
class Roles:
    """The use of each picture of a manifest, by their indices."""

    fit: list[int]
    """To learn from."""
    held_back: list[int]
    """To choose by."""
    held_out: list[int]
    """To measure the result with."""

    @property
    def train(self) -> list[int]:
        """All training pictures."""
        return sorted([*self.fit, *self.held_back])


def share(data: Manifest, rank: int, ranks: int) -> list[int]:
    """The pictures that a rank reads: those of each part that it will measure, or run through a
    frozen network, so that it need not decode them again.
    """
    return sorted(index for part in PARTS for index in data.indices(part)[rank::ranks])


def roles(data: Manifest, without: Collection[int] = ()) -> Roles:
    """Deal the pictures out; `without`: those that cannot be read.

    The choice follows from the data alone: every class of two or more has at least one picture on
    each side, where groups allow.
    """
    own = [index for index in data.indices("train") if index not in without]
    share = min(HELD_BACK_SHARE, MOST_HELD_BACK / max(1, len(own)))
    chosen = held_out(
        [data.names[index] for index in own],
        [data.labels[index] for index in own],
        share,
        [data.groups[index] for index in own] if data.groups else (),
    )
    return Roles(
        fit=[index for place, index in enumerate(own) if place not in chosen],
        held_back=[own[place] for place in sorted(chosen)],
        held_out=[index for index in data.indices("held_out") if index not in without],
    )
