"""How torch starts the tensors of a layer, seen by watching its constructor on meta tensors.

Nothing is drawn: what is called on each parameter and buffer says how its values are spread.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netgraft.models.drawn import DrawnTensor
from netgraft.models.dtypes import short

CONSTANTS = {"aten::zero_": 0.0, "aten::zeros": 0.0, "aten::ones": 1.0}
"""Operators that give each value of a tensor the same."""


def starts(make: Callable[[], nn.Module]) -> list[DrawnTensor]:
    """The initial values of each tensor in the state dict of the layer that `make` makes.

    What torch draws from a normal distribution is drawn from the uniform one of the same
    deviation. Raises ValueError where a tensor starts in another way, and what the
    constructor raises.
    """
    with torch.device("meta"), _Watch() as watch:
        layer = make()
    return [watch.start(name, value) for name, value in layer.state_dict(keep_vars=True).items()]


def dtype_name(value: Tensor) -> str:
    """Name of a tensor's dtype in torch, such as "float32"."""
    return short(value.dtype)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes what is written to each storage, as how a tensor without a name starts."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._seen: dict[int, DrawnTensor | None] = {}
        self._alive: list[Tensor] = []  # so that no storage comes twice by the same address

    def start(self, name: str, value: Tensor) -> DrawnTensor:
        """The start of a tensor. Raises ValueError."""
        found = self._seen.get(_storage(value))
        if found is None or found.shape != tuple(value.shape):
            raise ValueError(f"how torch starts {name} is not known")
        return replace(found, name=name, dtype=dtype_name(value))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        name = func._schema.name
        if isinstance(out, Tensor) and (func._schema.is_mutable or name in CONSTANTS):
            self._note(name, out, args)
        return out

    def _note(self, name: str, out: Tensor, args: tuple[Any, ...]) -> None:
        key, shape = _storage(out), tuple(out.shape)
        self._alive.append(out)
        before = self._seen.get(key)
        if before is not None and out.numel() < before.numel:
            self._seen[key] = _with_zero_row(before, name, out, args)
            return
        self._seen[key] = _start(name, shape, args)


def _storage(value: Tensor) -> int:
    return int(value.untyped_storage()._cdata)


def _start(name: str, shape: tuple[int, ...], args: tuple[Any, ...]) -> DrawnTensor | None:
    """The start of a tensor that an operator wrote; None where that is not understood."""
    if name in CONSTANTS:
        return DrawnTensor("", shape, "", "constant", CONSTANTS[name])
    if name == "aten::fill_" and isinstance(args[1], int | float):
        return DrawnTensor("", shape, "", "constant", float(args[1]))
    first, second = args[1:3] if len(args) == 3 else (0.0, 1.0)  # torch's defaults
    if name == "aten::uniform_" and first == -second:
        return DrawnTensor("", shape, "", "uniform", float(second))
    if name == "aten::normal_" and first == 0:
        return DrawnTensor("", shape, "", "uniform", float(second) * math.sqrt(3))
    return None


def _with_zero_row(
    before: DrawnTensor, name: str, out: Tensor, args: tuple[Any, ...]
) -> DrawnTensor | None:
    """As `before`, where one row was then filled with 0, as an embedding does for its padding."""
    row = _start(name, tuple(out.shape), args)
    if row is None or (row.init, row.value) != ("constant", 0.0) or row.numel != before.row:
        return None
    place, rest = divmod(int(out.storage_offset()), before.row)
    return replace(before, zero_rows=(*before.zero_rows, place)) if rest == 0 else None
