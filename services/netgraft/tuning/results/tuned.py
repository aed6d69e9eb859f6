"""The tuned model: a recipe with the tensors that training changed."""

from collections.abc import Mapping

import torch
from torch import Tensor

from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.values import drawn_names
from netgraft.store import gradients
from netgraft.store.store import Store
from netgraft.tuning.train.step import Learner


def store_tuned(
    recipe: Recipe,
    learner: Learner,
    before: Mapping[str, Tensor],
    store: Store,
    *,
    job: str,
    class_names: tuple[str, ...],
    metrics: Mapping[str, float],
) -> str:
    """Store what a learner made of a recipe's model, and return the id of the tuned recipe.

    `before` is the module's state before the first step. The tensors that changed are stored,
    and all that were drawn: a trained model depends on no formula. Raises DiskFull.
    """
    drawn = drawn_names(recipe)
    changed = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in learner.module.state_dict().items()
        if name in drawn or not torch.equal(value, before[name])
    }
    tuned = Tuned(
        job=job,
        tensors=store.put_tensors(changed),
        class_names=class_names,
        metrics=tuple(sorted(metrics.items())),
    )
    result = put_recipe(store, recipe.with_edit(tuned))
    gradients.keep(store, result, learner.gradients())
    return result
