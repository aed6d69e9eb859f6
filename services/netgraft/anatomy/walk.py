"""Walks the autograd graph of a forward pass back from an output to its heads.

A head is the last layer that mixes features into classes. Everything between
it and the output keeps the class dimension apart: reshaping, pooling over
space, picking, joining, arithmetic by element. So the walk goes back through
such operators only, and stops at the first matrix product or convolution that
holds a weight of the model. Where a way ends otherwise, in a normalisation say, or
where one of the layers feeds another, the output is features and not classes: the
sum of a residual block looks like heads that are added, but is not.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

Node = Any
"""torch.autograd.graph.Node; its saved values have no static types."""

PRODUCTS = frozenset({"Addmm", "Mm", "Bmm", "Baddbmm", "Convolution", "Addmv", "Mv"})

SHAPING = {
    "Alias", "AsStrided", "Cat", "Clone", "ConstantPadNd", "Copy", "CopySlices",
    "Expand", "Flip", "Gather", "Index", "IndexPut", "IndexSelect", "MaskedSelect", "Permute",
    "PixelShuffle", "Repeat", "Reshape", "ReshapeAlias", "Select", "SelectScatter", "Slice",
    "SliceScatter", "Sort", "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy", "Topk",
    "Transpose", "Unbind", "UnsafeIndex", "UnsafeSplit", "UnsafeView", "Unsqueeze", "View",
}  # fmt: skip
POOLING = {
    "AdaptiveAvgPool2D", "AdaptiveAvgPool3D", "AdaptiveMaxPool2D", "AdaptiveMaxPool3D", "Amax",
    "AvgPool2D", "AvgPool3D", "Max", "MaxPool2DWithIndices", "MaxPool3DWithIndices", "Maximum",
    "Mean", "MkldnnAdaptiveAvgPool2D", "Sum", "UpsampleBicubic2D", "UpsampleBilinear2D",
    "UpsampleLinear1D", "UpsampleNearest2D", "UpsampleNearestExact2D", "UpsampleTrilinear3D",
}  # fmt: skip
ARITHMETIC = {
    "Add", "Clamp", "ClampMax", "ClampMin", "Div", "Exp", "Log", "LogSoftmax", "MaskedFill", "Mul",
    "NativeDropout", "Neg", "Pow", "Relu", "Rsub", "Sigmoid", "Softmax", "Sqrt", "Sub", "Where",
}  # fmt: skip
PRESERVING = frozenset(SHAPING | POOLING | ARITHMETIC)
SQUASHING = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})

PARAMETER = "AccumulateGrad"
COMPUTED_STEPS = 24
"""Operators that compute a weight from parameters at most: more is a network."""

WEIGHT_VIEWS = frozenset({"T", "Transpose", "Permute", "View", "UnsafeView", "Expand", "Unsqueeze",
                          "Squeeze", "ToCopy", "Clone", "Alias", "ReshapeAlias"})  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A weight that makes classes, and what happens to its result on the way out."""

    weight: str
    """Name of the parameter, such as "fc.weight"."""
    activation: str
    """"softmax", "sigmoid" or "": the activation between the layer and the output."""
    width: int
    """Size of the dimension over which the activation works; 0 when there is none."""

    @property
    def path(self) -> str:
        """Path of the module that owns the weight."""
        return self.weight.rpartition(".")[0]


def operator(node: Node) -> str:
    """The operator that a node is the derivative of, such as "Addmm"."""
    name: str = node.name().rpartition("::")[2]
    return name.partition("Backward")[0]


def heads_behind(output: "Tensor", names: Mapping[int, str]) -> list[Found]:
    """The heads that an output comes from, in the order of the walk; [] without a head.

    `names` maps the `id` of each parameter tensor to its name.
    """
    if output.grad_fn is None:
        return []
    found: dict[Node, Found] = {}
    seen: set[Node] = set()
    stack: list[tuple[Node, str, int]] = [(output.grad_fn, "", 0)]
    while stack:
        node, activation, width = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        kind = operator(node)
        if kind in PRODUCTS and (weight := _weight(node, names)):
            found[node] = Found(weight, activation, width)
        elif kind in PRESERVING and not _scales_channels(kind, node):
            if kind in SQUASHING and not activation:
                activation, width = _squash(kind, node)
            stack += [(child, activation, width) for child in reversed(list(_children(node)))]
        elif kind != PARAMETER:
            return []
    return [] if _is_chained(found) else _once(found.values())


def _once(found: Iterable[Found]) -> list[Found]:
    """Each weight once: a detector applies one layer to several scales."""
    return list({head.weight: head for head in reversed(list(found))}.values())[::-1]


def _is_chained(heads: Collection[Node]) -> bool:
    """True if the result of one of these layers is part of the input of another."""
    if len(heads) < 2:
        return False
    seen: set[Node] = set()
    stack = [child for node in heads for child in _children(node)]
    while stack:
        node = stack.pop()
        if node in heads:
            return True
        if node not in seen:
            seen.add(node)
            stack += list(_children(node))
    return False


def parameters_behind(outputs: "list[Tensor]", names: Mapping[int, str]) -> set[str]:
    """Names of all parameters that the outputs come from, by any operator."""
    used: set[str] = set()
    seen: set[Node] = set()
    stack = [output.grad_fn for output in outputs if output.grad_fn is not None]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if (variable := getattr(node, "variable", None)) is not None:
            used.add(names.get(id(variable), ""))
        stack += list(_children(node))
    return used


def _children(node: Node) -> Iterator[Node]:
    return (child for child, _ in node.next_functions if child is not None)


def _weight(node: Node, names: Mapping[int, str]) -> str | None:
    """The name of the matrix or kernel that a product takes from the model.

    A weight that is computed from parameters alone, such as a normalised one, counts
    too, after those that are parameters themselves.
    """
    for child in _children(node):
        variable = _parameter(child)
        if variable is not None and variable.dim() >= 2 and id(variable) in names:
            return names[id(variable)]
    return next(filter(None, (_computed(child, names) for child in _children(node))), None)


def _parameter(node: Node) -> "Tensor | None":
    while operator(node) in WEIGHT_VIEWS and len(node.next_functions) == 1:
        node = node.next_functions[0][0]
        if node is None:
            return None
    variable: Tensor | None = getattr(node, "variable", None)
    return variable


def _computed(node: Node, names: Mapping[int, str]) -> str | None:
    """The first matrix among the parameters that a node comes from, when there is no more."""
    matrix: str | None = None
    stack, steps = [node], 0
    while stack:
        node, steps = stack.pop(), steps + 1
        if operator(node) in PRODUCTS or steps > COMPUTED_STEPS:
            return None
        if operator(node) == PARAMETER:
            if node.variable.dim() >= 2 and matrix is None:
                matrix = names.get(id(node.variable))
        elif None in (child for child, _ in node.next_functions):
            return None
        stack += list(_children(node))
    return matrix


def _scales_channels(kind: str, node: Node) -> bool:
    """True if a product has a parameter of one or more dimensions: a hidden layer's scale.

    A product by a single number, such as a learnt temperature of the logits,
    keeps classes apart and does not count.
    """
    if kind not in ("Mul", "Div"):
        return False
    variables = (_parameter(child) for child in _children(node))
    return any(variable is not None and variable.numel() > 1 for variable in variables)


def _squash(kind: str, node: Node) -> tuple[str, int]:
    shape = node._saved_result.shape
    if kind == "Sigmoid":
        return "sigmoid", shape[-1] if shape else 0
    dim = node._saved_dim
    return "softmax", shape[dim if dim < len(shape) else dim - 2**64]
