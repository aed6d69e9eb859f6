"""From a recipe to a module: the base, then every edit in its order."""

import torch
from torch import nn

from netgraft.models.bases import base_module
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store


def build(
    recipe: Recipe,
    store: Store,
    *,
    device: torch.device | str = "cpu",
    with_weights: bool | None = None,
) -> nn.Module:
    """The recipe's module in training mode, frozen layers with requires_grad False.

    On "meta" no weights are read (the default there) and none are needed. Raises
    WeightsUnavailable, OnlyDrawn for a file that holds no module, TooLarge, and
    FileNotFoundError when the store lost a delta or a file.
    """
    real = torch.device(device).type != "meta"
    load = real if with_weights is None else with_weights
    module = base_module(recipe.base, device=device, load_weights=load, store=store)
    for edit in recipe.edits:
        module = edit.apply(module, store.get_tensors) if load else edit.restructure(module)
    return module.train()
