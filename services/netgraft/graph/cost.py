"""The cost of a step: floating-point operations (`anatomy.operations`) and bytes of its results.

Found from shapes alone, for a batch of any size.
"""

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netgraft.anatomy import operations
from netgraft.graph.capture.recording import BATCH, Argument, Dim, Step, Value, Weight


@dataclass(frozen=True)
class Cost:
    """The cost of one forward pass."""

    flops: int = 0
    bytes: int = 0
    """Bytes of the tensors that are made; views and writes in place make none."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.flops + other.flops, self.bytes + other.bytes)


VIEWS = frozenset(
    f"aten.{name}"
    for name in (
        "alias", "as_strided", "broadcast_to", "chunk", "detach", "diagonal", "expand",
        "expand_as", "flatten", "movedim", "narrow", "numpy_T", "permute", "reshape", "select",
        "slice", "split", "split_with_sizes", "squeeze", "swapaxes", "t", "tensor_split",
        "transpose", "unbind", "unflatten", "unfold", "unsqueeze", "view", "view_as",
    )
)  # fmt: skip
"""Operators whose results share the memory of what they read. `reshape` and `flatten` copy
where they must, which shapes do not show; networks mostly use them where they need not."""

BYTES = {
    "float64": 8, "complex64": 8, "int64": 8, "float32": 4, "int32": 4, "bfloat16": 2,
    "float16": 2, "int16": 2, "complex128": 16,
}  # fmt: skip
"""Of one number; what is not listed takes one."""


def cost(step: Step, batch: int) -> Cost:
    """The cost of a step for a batch of the given size."""
    return Cost(_flops(step, batch), _bytes(step, batch))


def _bytes(step: Step, batch: int) -> int:
    in_place = step.target.rpartition(".")[0].endswith("_")
    if in_place or step.operator in VIEWS:
        return 0
    return sum(math.prod(sizes(v, batch)) * BYTES.get(v.dtype, 1) for v in step.outputs)


def sizes(tensor: Value | Weight, batch: int) -> tuple[int, ...]:
    """The shape of a tensor for a batch of the given size."""
    return tuple(size if isinstance(size, int) else size_of(size, batch) for size in tensor.shape)


def _flops(step: Step, batch: int) -> int:
    if step.operator not in operations.PRODUCTS or not step.outputs:
        return 0
    arguments = {name: _sized(value, batch) for name, value in step.arguments.items()}
    return operations.of_operator(step.target, arguments)


def _sized(argument: Argument, batch: int) -> operations.Argument:
    """An argument whose tensors have numeric sizes."""
    if isinstance(argument, Value | Weight):
        return operations.Shaped(sizes(argument, batch), argument.dtype)
    if isinstance(argument, tuple):
        return tuple(_sized(part, batch) for part in argument)
    return argument


OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Mod: operator.mod,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floor": math.floor, "Max": max, "Min": min, "Mod": operator.mod, "FloorDiv": operator.floordiv,
    "PythonMod": operator.mod, "CeilToInt": math.ceil, "TruncToInt": math.trunc,
    "IntTrueDiv": operator.truediv, "FloatTrueDiv": operator.truediv, "ToFloat": float,
}  # fmt: skip
"""sympy's and torch's names in formulas of shapes."""


@lru_cache(maxsize=4096)
def size_of(formula: Dim, batch: int) -> int:
    """The value of a formula such as "12·N" for a batch; 1 for any other kind of formula."""
    if isinstance(formula, int):
        return formula
    try:
        return int(_value(ast.parse(formula.replace("·", "*"), mode="eval").body, batch))
    except (SyntaxError, KeyError, ArithmeticError, TypeError):
        return 1


def _value(node: ast.AST, batch: int) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return {BATCH: batch}[node.id]
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, batch), _value(node.right, batch))
    if isinstance(node, ast.UnaryOp):
        return OPERATIONS[type(node.op)](_value(node.operand, batch))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS[node.func.id](*(_value(part, batch) for part in node.args))
    raise KeyError(ast.dump(node))
