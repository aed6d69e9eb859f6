"""From a recipe to a module: the base, then every edit in its order."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.models.bases import base_module
from netgraft.models.edits.edit import Edit
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store

MISFITS = (AttributeError, LookupError)
"""What an edit raises where the model lacks a layer that it names: the recipe was made by another
version of netgraft or of the library, or by somebody who wrote it."""


def build(
    recipe: Recipe,
    store: Store,
    *,
    device: torch.device | str = "cpu",
    with_weights: bool | None = None,
) -> nn.Module:
    """The recipe's module in training mode, frozen layers with requires_grad False.

    On "meta" no weights are read (the default there) and none are needed. Raises
    WeightsUnavailable, OnlyDrawn for a file that holds no module, TooLarge, NotPossible where an
    edit does not fit the model, and FileNotFoundError when the store lost a delta or a file.
    """
    real = torch.device(device).type != "meta"
    load = real if with_weights is None else with_weights
    module = base_module(recipe.base, device=device, load_weights=load, store=store)
    for edit in recipe.edits:
        with fitting(recipe, edit):
            module = edit.apply(module, store.get_tensors) if load else edit.restructure(module)
    return module.train()


@contextmanager
def fitting(recipe: Recipe, edit: Edit) -> Iterator[None]:
    """Within it, an edit of a recipe that does not fit its model is raised as NotPossible."""
    try:
        yield
    except MISFITS as error:
        problem = Message(
            'the edit "{edit}" does not fit {model}, which has other layers. Make the edits again, '
            "from the base.",
            edit=edit.describe(),
            model=str(recipe.base),
        )
        raise NotPossible(problem=problem) from error
