"""Measuring a model on held-out examples, over all ranks."""

from collections.abc import Callable, Iterable, Sequence

from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.step import Learner


def evaluate(
    learner: Learner,
    batches: Iterable[Batch],
    total: Callable[[Sequence[float]], list[float]] = list,
) -> dict[str, float]:
    """The task's figures over the batches of all ranks; `total` sums values over these."""
    tally = learner.measure(batches)
    tally.replace(total(tally.sums()))
    return tally.metrics
