"""The soup of a run: the mean of its best weights, chosen on held-back pictures like all else."""

from dataclasses import replace

from netgraft.store.store import Store
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.soup import Tensors, greedy
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.choosing import Decisions
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.measuring import kept_tensors, measured
from netgraft.tuning.workers.prepare import Batches

Measured = tuple[dict[str, float], list[bool]]


def souped(
    decisions: Decisions, learner: Learner, batches: Batches, group: Group, store: Store, job: str
) -> Decisions:
    """The decisions once a soup was tried; it is the best where it is as good as the best.

    All ranks do the same; the learner stays as it is.
    """
    found = [checkpoint.best(store, job, name) for name in reversed(decisions.bests)]
    candidates = [each for each in found if each is not None]
    if len(candidates) < 2 or decisions.by not in decisions.best_figures:
        return replace(decisions, souped=1)

    def measure(tensors: Tensors) -> tuple[Tensors, Measured]:
        with learner.holding(tensors, batches.to_settle(), group.average):
            return kept_tensors(learner.module), measured(learner, batches.to_choose(), group)

    def is_as_good(new: Measured, old: Measured) -> bool:
        return new[0][decisions.by] >= old[0][decisions.by]

    start = (decisions.best_figures, decisions.right)
    soup = greedy(candidates, start, measure, is_as_good)
    if soup.ingredients > 1 and group.leads:
        name = checkpoint.save_best(store, job, learner.steps, dict(soup.tensors))
        decisions = decisions.with_best(name, decisions.best_epoch, *soup.figures)
    return group.share(replace(decisions, souped=soup.ingredients))
