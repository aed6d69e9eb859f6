"""What a step costs: floating-point operations and the memory of what it makes.

Counted from shapes alone, by the formulas of `torch.utils.flop_counter`: a multiply-add
is 2, and only products and convolutions count. tests/graph/test_cost.py holds the totals
to that counter's.
"""

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from netgraft.graph.capture.recording import BATCH, Dim, Step, Value, Weight, tensors


@dataclass(frozen=True)
class Cost:
    """Of one forward pass."""

    flops: int = 0
    bytes: int = 0
    """Of the tensors that are made; views and writes in place make none."""

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
where they must, which shapes do not tell; networks mostly use them where they need not."""

BYTES = {
    "float64": 8, "complex64": 8, "int64": 8, "float32": 4, "int32": 4, "bfloat16": 2,
    "float16": 2, "int16": 2, "complex128": 16,
}  # fmt: skip
"""Of one number; what is not listed takes one."""


def cost(step: Step, batch: int) -> Cost:
    """The cost of a step for a batch of so many examples."""
    return Cost(_flops(step, batch), _bytes(step, batch))


def _bytes(step: Step, batch: int) -> int:
    in_place = step.target.rpartition(".")[0].endswith("_")
    if in_place or step.operator in VIEWS:
        return 0
    return sum(math.prod(sizes(v, batch)) * BYTES.get(v.dtype, 1) for v in step.outputs)


def sizes(tensor: Value | Weight, batch: int) -> tuple[int, ...]:
    """The shape of a tensor for a batch of so many examples."""
    return tuple(size if isinstance(size, int) else size_of(size, batch) for size in tensor.shape)


def _flops(step: Step, batch: int) -> int:
    count = FORMULAS.get(step.operator)
    if count is None or not step.outputs:
        return 0
    read = [
        sizes(tensor, batch) for argument in step.arguments.values() for tensor in tensors(argument)
    ]
    return count(step, read, sizes(step.outputs[0], batch))


Shapes = list[tuple[int, ...]]
Formula = Callable[[Step, Shapes, tuple[int, ...]], int]


def _product(_: Step, read: Shapes, made: tuple[int, ...]) -> int:
    """a_MK @ b_KN, with any batch in front."""
    return 2 * math.prod(made) * (read[0][-1] if read[0] else 1)


def _added_product(_: Step, read: Shapes, made: tuple[int, ...]) -> int:
    """c + a_MK @ b_KN"""
    return 2 * math.prod(made) * read[1][-1]


def _convolution(step: Step, read: Shapes, made: tuple[int, ...]) -> int:
    # aten.convolution says whether it is transposed; other operators' names do.
    transposed = "transpose" in step.operator or step.arguments.get("transposed") is True
    x_NCHW, weight = read[0], read[1]
    places = x_NCHW if transposed else made
    return 2 * places[0] * math.prod(places[2:]) * math.prod(weight)


def _attention(_: Step, read: Shapes, made: tuple[int, ...]) -> int:
    """q_BHSD, k_BHTD, v_BHTE: scores, then their product with the values."""
    q, k = read[0], read[1]
    scores = math.prod(q[:-1]) * k[-2]
    return 2 * scores * (q[-1] + made[-1])


def _recurrent(_: Step, read: Shapes, made: tuple[int, ...]) -> int:
    """x_NTC through every gate's matrix, and each state through its own: once per token."""
    tokens = math.prod(read[0][:-1])
    return 2 * tokens * sum(math.prod(shape) for shape in read[1:] if len(shape) == 2)


def _einsum(step: Step, read: Shapes, made: tuple[int, ...]) -> int:
    equation = str(next(iter(step.arguments.values()))).replace(" ", "")
    terms = equation.partition("->")[0].split(",")
    if len(terms) != 2 or "." in equation:
        return 0
    named = {letter: size for term, shape in zip(terms, read, strict=True)
             for letter, size in zip(term, shape, strict=True)}  # fmt: skip
    return 2 * math.prod(named.values())


FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(("aten.linear", "aten.mm", "aten.bmm", "aten.matmul"), _product),
    **dict.fromkeys(("aten.addmm", "aten.baddbmm"), _added_product),
    **dict.fromkeys(
        ("aten.conv1d", "aten.conv2d", "aten.conv3d", "aten.convolution", "aten._convolution",
         "aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d"),
        _convolution,
    ),
    "aten.scaled_dot_product_attention": _attention,
    "aten.einsum": _einsum,
    **dict.fromkeys(("aten.lstm", "aten.gru", "aten.rnn_tanh", "aten.rnn_relu"), _recurrent),
}  # fmt: skip


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
    """The number that a formula such as "12·N" is for a batch; 1 when it is of another kind."""
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
