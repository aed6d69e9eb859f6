"""Measuring a model over all ranks, and the tensors of it that training can have changed."""

from collections.abc import Iterable

from torch import Tensor, nn

from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.group import Group


def measured(
    learner: Learner, batches: Iterable[Batch], group: Group
) -> tuple[dict[str, float], list[bool]]:
    """The task's figures over the batches of all ranks, the same on each.

    Beside them, on rank 0, whether each example was answered rightly, in the order of the examples
    as `loading.measured_order` deals them to the ranks; [] where the task does not say.
    """
    tally = learner.measure(batches)
    parts = group.gather(list(getattr(tally, "right", [])))
    tally.replace(group.total(tally.sums()))
    return tally.metrics, _dealt(parts)


def kept_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the tensors that training changes: what is not frozen, and all buffers."""
    frozen = {name for name, each in module.named_parameters() if not each.requires_grad}
    return {
        name: value.detach().cpu().clone()
        for name, value in module.state_dict().items()
        if name not in frozen
    }


def _dealt(parts: list[list[bool]]) -> list[bool]:
    """One list of what ranks have of it, the first of each first."""
    longest = max((len(part) for part in parts), default=0)
    return [part[place] for place in range(longest) for part in parts if place < len(part)]
