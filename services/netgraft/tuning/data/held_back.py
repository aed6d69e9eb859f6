"""Training pictures that are held back, by which a run chooses: epoch, weights, strategy.

What measures the result (`held_out`, `test`) chooses nothing.
"""

from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.split import held_out

HELD_BACK_SHARE = 0.15
MOST_HELD_BACK = 2_000
"""Training pictures held back to choose by: more would only cost."""


def fit_and_held_back(data: Manifest) -> tuple[list[int], list[int]]:
    """The training pictures to learn from, and those held back to choose by.

    Numbers among the training pictures. The choice follows from the data alone: every class of
    two or more has at least one picture on each side, where groups allow.
    """
    own = data.indices("train")
    share = min(HELD_BACK_SHARE, MOST_HELD_BACK / max(1, len(own)))
    chosen = held_out(
        [data.names[index] for index in own],
        [data.labels[index] for index in own],
        share,
        [data.groups[index] for index in own] if data.groups else (),
    )
    fit = [place for place in range(len(own)) if place not in chosen]
    return fit, sorted(chosen)
