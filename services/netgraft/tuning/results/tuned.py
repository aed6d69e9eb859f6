"""The tuned model: a recipe with the tensors that training changed."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from netgraft.models import bases
from netgraft.models.answering import Answering, resized
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.values import drawn_names
from netgraft.store import gradients
from netgraft.store.store import Store
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.results import record
from netgraft.tuning.train.precision import is_channels_last


class Data(Protocol):
    """The data that a run has read."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def without(self) -> frozenset[int]:
        """Pictures that were left out."""

    @property
    def data_hash(self) -> str: ...


def answering_for(
    spec: Spec, recipe: Recipe, data: Data, store: Store, leaked: Collection[int] = ()
) -> Answering:
    """Return how a model that is tuned as `spec` says is asked.

    `leaked`: pictures that measure, and of which copies were trained on. Raises DiskFull.
    """
    expected = bases.preprocessing(recipe.base)
    last = is_channels_last(spec.layout, spec.precision)
    return Answering(
        side=spec.image_size,
        resize=resized(spec.image_size, whole=data.manifest.kept_whole),
        mean=expected.mean,
        deviation=expected.std,
        precision=spec.precision,
        channels_last=last,
        strategy=spec.strategy,
        split=record.keep(store, data.manifest, data.without, leaked),
        data_hash=data.data_hash,
    )


def store_tuned(
    recipe: Recipe,
    module: nn.Module,
    before: Mapping[str, Tensor],
    store: Store,
    tuned: Tuned,
    gradient_norms: dict[str, float] | None = None,
) -> str:
    """Store what training made of a recipe's model, and return the id of the tuned recipe.

    `before` is the module's state before the first step; `tuned` says all but the tensors. The
    tensors that changed are stored, and all that were drawn: a trained model depends on no formula.
    Raises DiskFull.
    """
    drawn = drawn_names(recipe)
    changed = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in module.state_dict().items()
        if name in drawn or not torch.equal(value, before[name])
    }
    edit = replace(tuned, tensors=store.put_tensors(changed))
    result = put_recipe(store, recipe.with_edit(edit))
    if gradient_norms:
        gradients.keep(store, result, gradient_norms)
    return result
