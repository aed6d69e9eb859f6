"""Tensors of new layers, filled as their recipe says: drawn, or read from a delta.

Knows nothing of the store.
"""

from collections.abc import Iterable, Mapping
from typing import cast

import torch
from torch import Tensor, nn

from netgraft.models import drawn
from netgraft.models.drawn import Draw, DrawnTensor, must_fit


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


def load_delta(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors of a delta into a module. Raises KeyError when one has no place."""
    unexpected = module.load_state_dict(dict(tensors), strict=False).unexpected_keys
    if unexpected:
        raise KeyError(f"the delta holds {', '.join(unexpected)}, which the model lacks")
