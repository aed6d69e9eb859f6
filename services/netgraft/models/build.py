"""From a recipe to a module: the base, then every edit in its order."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from netgraft.models.bases import base_module
from netgraft.models.drawn import must_fit
from netgraft.models.edits.dropout import set_dropout
from netgraft.models.edits.lora import put_adapters
from netgraft.models.edits.replace import put_layer, to_zeros
from netgraft.models.initialise import copy_rows, fill, head_tensors
from netgraft.models.recipe import (
    Dropout,
    Edit,
    Freeze,
    HeadEdit,
    Lora,
    Recipe,
    Replace,
    Retarget,
    delta,
    draw,
)
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
        module = _applied(module, edit, store) if load else apply_structure(module, edit)
    return module.train()


def _applied(module: nn.Module, edit: Edit, store: Store) -> nn.Module:
    """The module with an edit's structure and values. Raises TooLarge and FileNotFoundError."""
    drawn = draw(edit)
    if drawn:
        must_fit(drawn.tensors)
    keeping = edit if isinstance(edit, Retarget) and edit.copies else None
    old = head_tensors(module, keeping) if keeping else {}
    module = apply_structure(module, edit)
    if drawn:
        fill(module, drawn)
    if keeping:
        copy_rows(head_tensors(module, keeping), old, keeping)
    if digest := delta(edit):
        load_delta(module, store.get_tensors(digest))
    return module


def load_delta(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy tensors of a delta into a module. Raises KeyError when one has no place."""
    unexpected = module.load_state_dict(dict(tensors), strict=False).unexpected_keys
    if unexpected:
        raise KeyError(f"the delta holds {', '.join(unexpected)}, which the model lacks")


def apply_structure(module: nn.Module, edit: Edit) -> nn.Module:
    """Apply what an edit says of structure, in place; returns the module to use from now on."""
    if isinstance(edit, Retarget):
        for head in edit.heads:
            if head.append:
                module = append_head(module, head)
            else:
                resize_head(module, head.path, head.after)
        for patch in edit.patches:
            setattr(module.get_submodule(patch.path), patch.attribute, patch.value)
    elif isinstance(edit, Replace):
        put_layer(module, edit)
    elif isinstance(edit, Dropout):
        set_dropout(module, edit)
    elif isinstance(edit, Lora):
        put_adapters(module, edit)
    elif isinstance(edit, Freeze):
        for path in edit.paths:
            _set_trainable(module, path, edit.trainable)
    return module


def resize_head(module: nn.Module, path: str, out: int) -> None:
    """Give the layer at `path` new parameters with `out` outputs, which are 0.

    Device, dtype, bias and requires_grad stay; the layer's class stays too.
    """
    layer = module.get_submodule(path)
    for name, old in layer.named_parameters(recurse=False):
        new = torch.zeros((out, *old.shape[1:]), dtype=old.dtype, device=old.device)
        setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)


APPENDED_TO = "body"
"""Name, in an `Appended`, of the model that stands before the new head."""


class Appended(nn.Module):
    """A model without a head, and a Linear behind its pooled features."""

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, *inputs: Tensor) -> Tensor:
        """x_NCHW → logits_NK."""
        return self.head(pooled(self.body(*inputs)))  # type: ignore[no-any-return]


def pooled(features: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """features_NCHW, features_NLC or features_NC (the last of several) → features_NC."""
    last = features if isinstance(features, Tensor) else features[-1]
    if last.ndim == 4:
        return last.mean(dim=(2, 3))
    return last.mean(dim=1) if last.ndim == 3 else last


def append_head(module: nn.Module, head: HeadEdit) -> nn.Module:
    """The module with a Linear of `head.after` outputs behind it, whose parameters are 0."""
    like = next(module.parameters())
    linear = nn.Linear(head.in_features, head.after, device="meta", dtype=like.dtype)
    to_zeros(linear, like.device)
    return Appended(module, linear)


def _set_trainable(module: nn.Module, path: str, trainable: bool) -> None:
    owner, _, name = path.rpartition(".")
    if path and name in dict(module.get_submodule(owner).named_parameters(recurse=False)):
        module.get_parameter(path).requires_grad_(trainable)
    else:
        module.get_submodule(path).requires_grad_(trainable)
