"""Arithmetic: activations, elementwise operators, products, reductions, comparisons."""

from functools import partial

from netgraft.graph.capture.recording import Step, Value, Weight
from netgraft.graph.operators.dtypes import DTYPES
from netgraft.graph.operators.rule import (
    Attribute,
    Constant,
    Operator,
    axis,
    enter,
    number,
    rule,
    shape,
    slot,
    whole,
)

UNARY = {
    "Abs": "abs", "Acos": "acos", "Asin": "asin", "Atan": "atan", "Ceil": "ceil", "Cos": "cos",
    "Erf": "erf", "Exp": "exp", "Floor": "floor", "HardSwish": "hardswish", "Log": "log",
    "Mish": "mish", "Neg": "neg", "NonZero": "nonzero", "Not": "logical_not",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid",
    "Sign": "sign", "Sin": "sin", "Softsign": "softsign", "Sqrt": "sqrt", "Swish": "silu",
    "Tan": "tan", "Tanh": "tanh", "IsNaN": "isnan", "Selu": "selu",
}  # fmt: skip
"""ONNX operators of one input with an exact counterpart in aten."""

BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Pow": "pow", "Max": "maximum",
    "Min": "minimum", "MatMul": "matmul", "Equal": "eq", "Less": "lt", "LessOrEqual": "le",
    "Greater": "gt", "GreaterOrEqual": "ge", "And": "logical_and", "Or": "logical_or",
    "Xor": "logical_xor",
}  # fmt: skip

REDUCTIONS = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "amax", "ReduceMin": "amin",
    "ReduceProd": "prod", "ReduceLogSumExp": "logsumexp",
}  # fmt: skip


def _unary(step: Step, word: str) -> Operator:
    return Operator(word, (slot(step, "self"),))


def _binary(step: Step, word: str) -> Operator | None:
    if number(step, "alpha", 1) != 1 or step.arguments.get("rounding_mode"):
        return None
    second = "exponent" if word == "Pow" else "other"
    inputs = (slot(step, "self"), slot(step, second))
    return None if None in inputs else Operator(word, inputs)


def _reduction(step: Step, word: str) -> Operator | None:
    dims = step.arguments.get("dim")
    if isinstance(dims, str) or step.arguments.get("dtype"):
        return None
    rank = len(shape(step, "self"))
    axes = tuple(
        dim % rank for dim in (dims if isinstance(dims, tuple) else (dims,)) if isinstance(dim, int)
    )
    keep = whole(step, "keepdim")
    if word == "ReduceMean" and keep and rank > 2 and sorted(axes) == list(range(2, rank)):
        return Operator("GlobalAveragePool", (slot(step, "self"),))
    inputs = (slot(step, "self"), Constant(axes)) if axes else (slot(step, "self"),)
    return Operator(word, inputs, {"keepdims": keep})


for _word, _name in UNARY.items():
    enter([_name], partial(_unary, word=_word))
for _word, _name in BINARY.items():
    enter([_name], partial(_binary, word=_word))
for _word, _name in REDUCTIONS.items():
    enter([_name], partial(_reduction, word=_word))


@rule("rsub")
def _reversed_sub(step: Step) -> Operator | None:
    inputs = (slot(step, "other"), slot(step, "self"))
    return None if None in inputs or number(step, "alpha", 1) != 1 else Operator("Sub", inputs)


@rule("mm", "bmm")
def _product(step: Step) -> Operator:
    return Operator("MatMul", (slot(step, "self"), slot(step, "mat2")))


@rule("einsum")
def _einsum(step: Step) -> Operator:
    parts = step.arguments["tensors"]
    assert isinstance(parts, tuple)
    inputs = tuple(part for part in parts if isinstance(part, Value | Weight))
    return Operator("Einsum", inputs, {"equation": str(step.arguments["equation"])})


@rule("hardtanh", "clamp", "clip", "relu6")
def _clip(step: Step) -> Operator:
    low, high = ("min_val", "max_val") if "hardtanh" in step.target else ("min", "max")
    default = (-1.0, 1.0) if "hardtanh" in step.target else (None, None)
    bounds = [
        slot(step, name) or (Constant((value,), scalar=True) if value is not None else None)
        for name, value in zip((low, high), default, strict=True)
    ]
    if "relu6" in step.target:
        bounds = [Constant((0.0,), scalar=True), Constant((6.0,), scalar=True)]
    return Operator("Clip", (slot(step, "self"), *(bounds if bounds[1] else bounds[:1])))


@rule("clamp_min")
def _clip_below(step: Step) -> Operator:
    return Operator("Clip", (slot(step, "self"), slot(step, "min")))


@rule("hardsigmoid")
def _hard_sigmoid(step: Step) -> Operator:
    return Operator("HardSigmoid", (slot(step, "self"),), {"alpha": 1 / 6, "beta": 0.5})


@rule("gelu")
def _gelu(step: Step) -> Operator:
    attributes: dict[str, Attribute] = {}
    if step.arguments.get("approximate") == "tanh":
        attributes["approximate"] = "tanh"
    return Operator("Gelu", (slot(step, "self"),), attributes)


@rule("leaky_relu")
def _leaky_relu(step: Step) -> Operator:
    alpha = number(step, "negative_slope", 0.01)
    return Operator("LeakyRelu", (slot(step, "self"),), {"alpha": alpha})


@rule("elu", "celu")
def _elu(step: Step) -> Operator | None:
    if number(step, "scale", 1) != 1 or number(step, "input_scale", 1) != 1:
        return None
    word = "Celu" if step.operator.endswith("celu") else "Elu"
    return Operator(word, (slot(step, "self"),), {"alpha": number(step, "alpha", 1.0)})


@rule("softplus")
def _softplus(step: Step) -> Operator | None:
    return Operator("Softplus", (slot(step, "self"),)) if number(step, "beta", 1) == 1 else None


@rule("prelu")
def _prelu(step: Step) -> Operator:
    return Operator("PRelu", (slot(step, "self"), slot(step, "weight")))


@rule("softmax", "_softmax")
def _softmax(step: Step) -> Operator:
    return Operator("Softmax", (slot(step, "self"),), {"axis": axis(step, "dim")})


@rule("log_softmax", "_log_softmax")
def _log_softmax(step: Step) -> Operator:
    return Operator("LogSoftmax", (slot(step, "self"),), {"axis": axis(step, "dim")})


@rule("where")
def _where(step: Step) -> Operator | None:
    inputs = tuple(slot(step, name) for name in ("condition", "self", "other"))
    return None if None in inputs else Operator("Where", inputs)


@rule("argmax")
def _argmax(step: Step) -> Operator | None:
    if step.arguments.get("dim") is None:
        return None
    attributes = {"axis": axis(step, "dim"), "keepdims": whole(step, "keepdim")}
    return Operator("ArgMax", (slot(step, "self"),), attributes)


@rule("topk")
def _topk(step: Step) -> Operator | None:
    count = step.arguments.get("k")
    if not isinstance(count, int):
        return None
    attributes = {
        "axis": axis(step, "dim", default=-1),
        "largest": whole(step, "largest", 1),
        "sorted": whole(step, "sorted", 1),
    }
    return Operator("TopK", (slot(step, "self"), Constant((count,))), attributes)


@rule("cumsum")
def _cumsum(step: Step) -> Operator:
    at = Constant((axis(step, "dim"),), scalar=True)
    return Operator("CumSum", (slot(step, "self"), at))


@rule("to", "_to_copy", "type_as")
def _cast(step: Step) -> Operator | None:
    made = DTYPES.get(step.outputs[0].dtype)
    return Operator("Cast", (slot(step, "self"),), {"to": made}) if made else None
