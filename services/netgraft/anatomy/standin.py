"""Answers for operators whose result depends on data, where tensors have none.

Detectors filter boxes by score and by overlap. On meta tensors there are no
scores, so PyTorch refuses. A `StandIn` answers as if everything passed, and lets
the forward pass of any detector run on meta tensors. The answers have the right
shapes and kinds, never meaning.

It also answers for a few common operators whose meta kernels are Python
decompositions that take milliseconds each: a forward pass of resnet50 is four
times faster for it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

NMS = "torchvision::nms"


class StandIn(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own base
    """Within it, data-dependent operators on meta tensors answer instead of failing.

    `keep` is how many boxes at most survive each suppression of overlaps; None: all,
    which is the most work that the network can have.
    """

    def __init__(self, keep: int | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keep = keep

    def __torch_dispatch__(
        self,
        func: Any,
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        name = func.name()
        answer = ANSWERS.get(name)
        if answer is None or not any(isinstance(a, Tensor) and a.is_meta for a in args):
            return func(*args, **kwargs)
        result = answer(func, *args, **kwargs)
        return result[: self.keep] if name == NMS else result


def _scalar(_func: Any, value: Tensor) -> bool | int | float:
    """False for flags (they guard against bad input), 1 for numbers."""
    if value.dtype is torch.bool:
        return False
    return 1.0 if value.is_floating_point() else 1


def _nonzero(_func: Any, value: Tensor) -> Tensor:
    return value.new_empty((value.numel(), value.dim()), dtype=torch.long)


def _nms(_func: Any, boxes: Tensor, *_: Any) -> Tensor:
    return boxes.new_empty((boxes.shape[0],), dtype=torch.long)


def _index(func: Any, value: Tensor, indices: list[Tensor | None]) -> Tensor:
    places: list[Tensor | None] = []
    for index in indices:
        if index is not None and index.dtype in (torch.bool, torch.uint8):
            every = torch.empty((index.numel(),), dtype=torch.long, device=value.device)
            places += [every] * index.dim()
        else:
            places.append(index)
    result: Tensor = func(value, places)
    return result


def _masked_select(_func: Any, value: Tensor, mask: Tensor) -> Tensor:
    return value.new_empty((max(value.numel(), mask.numel()),))


def _unique(_func: Any, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor, Tensor]:
    inverse = value.new_empty(value.shape, dtype=torch.long)
    return value.new_empty((1,)), inverse, value.new_empty((1,), dtype=torch.long)


def _batch_norm(_func: Any, value: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    channels = value.new_empty((value.shape[1],))
    return torch.empty_like(value), channels, torch.empty_like(channels)


def _layer_norm(
    _func: Any, value: Tensor, normalized: list[int], *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    outer = value.shape[: value.dim() - len(normalized)]
    if [*value.shape[len(outer) :]] != [*normalized]:
        raise RuntimeError(f"cannot normalise {tuple(value.shape)} over {tuple(normalized)}")
    rest = value.new_empty((*outer, *[1] * len(normalized)))
    return value.new_empty(value.shape), rest, torch.empty_like(rest)


def _addmm(_func: Any, _bias: Tensor, left: Tensor, right: Tensor, **_: Any) -> Tensor:
    if left.shape[1] != right.shape[0]:
        raise RuntimeError(f"cannot multiply {tuple(left.shape)} by {tuple(right.shape)}")
    return left.new_empty((left.shape[0], right.shape[1]))


def _gelu(_func: Any, value: Tensor, *, approximate: str = "none") -> Tensor:
    if approximate not in ("none", "tanh"):
        raise RuntimeError(f"approximate is none or tanh, not {approximate}")
    return torch.empty_like(value)


def _elementwise(func: Any, left: Tensor, right: Any, **options: Any) -> Tensor:
    alike = isinstance(right, Tensor) and (left.shape, left.dtype) == (right.shape, right.dtype)
    result: Tensor = torch.empty_like(left) if alike else func(left, right, **options)
    return result


def _in_place(func: Any, left: Tensor, right: Any, **options: Any) -> Tensor:
    alike = isinstance(right, Tensor) and left.shape == right.shape
    result: Tensor = left if alike else func(left, right, **options)
    return result


def _resampled(_func: Any, value_NCHW: Tensor, size: list[int], *_: Any) -> Tensor:
    last = torch.channels_last if _is_channels_last(value_NCHW) else torch.contiguous_format
    shape = (*value_NCHW.shape[:2], *size)
    return torch.empty(shape, dtype=value_NCHW.dtype, device="meta", memory_format=last)


def _is_channels_last(value: Tensor) -> bool:
    return not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last)


ANSWERS: dict[str, Callable[..., Any]] = {
    "aten::_local_scalar_dense": _scalar,
    "aten::nonzero": _nonzero,
    "aten::index.Tensor": _index,
    "aten::masked_select": _masked_select,
    "aten::_unique2": _unique,
    NMS: _nms,
    "aten::native_batch_norm": _batch_norm,
    "aten::native_layer_norm": _layer_norm,
    "aten::addmm": _addmm,
    "aten::gelu": _gelu,
    "aten::add.Tensor": _elementwise,
    "aten::sub.Tensor": _elementwise,
    "aten::mul.Tensor": _elementwise,
    "aten::add_.Tensor": _in_place,
    "aten::upsample_bilinear2d": _resampled,
    "aten::upsample_bicubic2d": _resampled,
}
