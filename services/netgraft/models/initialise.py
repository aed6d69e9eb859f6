"""Tensors of new layers, filled as their recipe says: drawn, and copied from the parent's heads.

Knows nothing of the store.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from netgraft.models import drawn
from netgraft.models.drawn import Draw, DrawnTensor, must_fit
from netgraft.models.recipe import COORDINATES, Copies, HeadEdit, Retarget

PARTS = ("weight", "bias")
"""Parameters of a head."""


def torch_dtype(name: str) -> torch.dtype:
    """The dtype of that name, such as "float32"."""
    return cast("torch.dtype", getattr(torch, name))


def draw_tensors(draw: Draw, names: Iterable[str]) -> dict[str, Tensor]:
    """Those tensors of a draw that are named in `names`, on the CPU. Raises TooLarge."""
    wanted = frozenset(names)
    chosen = tuple(tensor for tensor in draw.tensors if tensor.name in wanted)
    must_fit(chosen)
    found = {t.name: torch.empty(t.shape, dtype=torch_dtype(t.dtype)) for t in chosen}
    for tensor in chosen:
        _fill(found[tensor.name], draw, tensor)
    return found


def fill(module: nn.Module, draw: Draw) -> None:
    """Write the drawn values into a module, in place. Raises KeyError when one has no place."""
    places = module.state_dict(keep_vars=True)
    for tensor in draw.tensors:
        _fill(places[tensor.name].detach(), draw, tensor)


def _fill(target: Tensor, draw: Draw, tensor: DrawnTensor) -> None:
    if not target.is_contiguous():
        copy = torch.empty(tensor.shape, dtype=target.dtype)
        _fill(copy, draw, tensor)
        target.copy_(copy)
        return
    flat, start = target.view(-1), 0
    for chunk in drawn.values(draw, tensor):
        flat[start : start + len(chunk)] = torch.from_numpy(chunk)
        start += len(chunk)


# Rows that are kept


def head_tensors(module: nn.Module, edit: Retarget) -> dict[str, Tensor]:
    """The tensors of the heads that an edit replaces, or has replaced, by name."""
    return {
        f"{head.path}.{name}": parameter.detach()
        for head in edit.heads
        for name, parameter in module.get_submodule(head.path).named_parameters(recurse=False)
    }


def copy_rows(new: Mapping[str, Tensor], old: Mapping[str, Tensor], edit: Retarget) -> None:
    """Copy the rows of kept classes from the old heads' tensors into those of `new`, in place."""
    if edit.copies is None:
        return
    for head in edit.heads:
        for name in (f"{head.path}.{part}" for part in PARTS):
            if name in new and name in old:
                _copy(new[name], old[name], head, edit.copies)


def _copy(new: Tensor, old: Tensor, head: HeadEdit, copies: Copies) -> None:
    to, out = _by_class(new, head, copies.after), _by_class(old, head, copies.before)
    here, there = (list(places) for places in zip(*copies.pairs, strict=True))
    to[:, here] = out[:, there].to(to.dtype)


def _by_class(value: Tensor, head: HeadEdit, classes: int) -> Tensor:
    """A view of rows_O… as rows_ACB…: anchors, classes, and numbers for each.

    Scores of A anchors are laid out as (A, C) in torchvision's detectors, and boxes of C
    classes as (C, 4).
    """
    numbers = COORDINATES if head.role == "boxes" else 1
    return value.view(-1, classes, numbers, *value.shape[1:])
