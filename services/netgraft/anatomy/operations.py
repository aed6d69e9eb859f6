"""Floating-point operations, counted in one place: for `inspect`, for pictures and for tables.

A multiply-add is 2, and only products and convolutions count. The formulas are torch's own
register (`torch.utils.flop_counter.flop_registry`); ours are for operators that it lacks, and
torch takes apart what is made of others. Nothing is computed: all runs on meta tensors.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Formula = Callable[..., int]
"""Takes an operator's arguments, and what it made as `out_val`."""


@dataclass(frozen=True)
class Shaped:
    """A tensor of which only this is known."""

    shape: tuple[int, ...]
    dtype: str
    """As torch names it, such as "float32"."""


Argument = Shaped | int | float | bool | str | None | tuple["Argument", ...]

PRODUCTS = frozenset(
    f"aten.{name}"
    for name in (
        "_convolution", "addbmm", "addmm", "addmv", "baddbmm", "bmm", "chain_matmul", "conv1d",
        "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d",
        "convolution", "dot", "einsum", "gru", "gru_cell", "inner", "linalg_multi_dot", "linear",
        "lstm", "lstm_cell", "matmul", "mm", "mv", "rnn_relu", "rnn_relu_cell", "rnn_tanh",
        "rnn_tanh_cell", "scaled_dot_product_attention", "tensordot", "vdot",
    )
) | {"torchvision.deform_conv2d"}  # fmt: skip
"""Operators, as recordings name them, that are products or made of them; no other one counts."""


def of_forward(forward: Callable[[], object]) -> int:
    """The operations of all operators that a call runs, which this thread waits for."""
    counter = _counter()
    with counter:
        forward()
    return int(counter.total)


def of_operator(target: str, arguments: Mapping[str, Argument]) -> int:
    """The operations of one operator, by its full name such as "aten.conv2d.default".

    `arguments` are by the names of the operator's schema, defaults left out. 0 for an operator
    that is no product, and where the shapes do not fit each other: sizes that depend on data
    are not known before a forward pass.
    """
    if target.rpartition(".")[0].rstrip("_") not in PRODUCTS:
        return 0
    return _counted(target, tuple(arguments.items()))


@lru_cache(maxsize=16_384)
def _counted(target: str, arguments: tuple[tuple[str, Argument], ...]) -> int:
    import torch

    namespace, name, overload = target.split(".")
    operator = getattr(getattr(getattr(torch.ops, namespace), name), overload)
    given = {name: _on_meta(value) for name, value in arguments}
    try:
        with torch.no_grad():
            return of_forward(lambda: operator(**given))
    except RuntimeError:
        return 0


def _on_meta(value: Argument) -> Any:
    import torch

    if isinstance(value, Shaped):
        return torch.empty(value.shape, dtype=getattr(torch, value.dtype), device="meta")
    if isinstance(value, tuple):
        return [_on_meta(part) for part in value]
    return value


@cache
def _counter_class() -> type[Any]:
    """Made when it is first needed: a class that derives from torch's imports torch."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        """Adds up what runs in it, like torch's FlopCounterMode, but needs no hooks that every
        module of the process would call, whichever thread it runs in."""

        supports_higher_order_operators = True

        def __init__(self) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.total = 0

        def __torch_dispatch__(
            self,
            func: Any,
            types: Any,
            args: tuple[Any, ...] = (),
            kwargs: Mapping[str, Any] | None = None,
        ) -> Any:
            kwargs = kwargs or {}
            formula = flop_registry.get(getattr(func, "_overloadpacket", func))
            formula = formula or ADDED.get(func.name())
            if formula is None and func is not torch.ops.prim.device.default:
                with self:
                    made = func.decompose(*args, **kwargs)
                if made is not NotImplemented:
                    return made
            made = func(*args, **kwargs)
            if formula is not None:
                self.total += formula(*args, **kwargs, out_val=made)
            return made

    return Counter


def _counter() -> Any:
    return _counter_class()()


def _product_with_vector(matrix_MK: "Tensor", vector_K: "Tensor", **_: Any) -> int:
    return 2 * matrix_MK.numel()


def _added_product_with_vector(
    sum_M: "Tensor", matrix_MK: "Tensor", vector_K: "Tensor", **_: Any
) -> int:
    return 2 * matrix_MK.numel()


def _inner_product(left_K: "Tensor", right_K: "Tensor", **_: Any) -> int:
    return 2 * left_K.numel()


def _summed_products(sum_MN: "Tensor", a_BMK: "Tensor", b_BKN: "Tensor", **_: Any) -> int:
    return 2 * a_BMK.numel() * b_BKN.shape[-1]


def _deformed_convolution(
    x_NCHW: "Tensor", weight: "Tensor", *_: Any, out_val: "Tensor", **__: Any
) -> int:
    """As a convolution; what interpolates between pixels is no product of the network's."""
    return 2 * out_val.shape[0] * out_val[0, 0].numel() * weight.numel()


ADDED: dict[str, Formula] = {
    "aten::mv": _product_with_vector,
    "aten::addmv": _added_product_with_vector,
    "aten::dot": _inner_product,
    "aten::vdot": _inner_product,
    "aten::addbmm": _summed_products,
    "torchvision::deform_conv2d": _deformed_convolution,
}
"""Of operators that torch's register lacks and takes no further apart."""
