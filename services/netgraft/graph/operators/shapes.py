"""Operators that move, cut and join tensors without arithmetic."""

from netgraft.graph.capture.recording import Dim, Step, Value, Weight
from netgraft.graph.operators.rule import Constant, Operator, Slot, axis, rule, shape, slot, whole

FAR = 2**62
"""torch writes the end of an open slice as 2^63 − 1."""


def _sizes(sizes: tuple[Dim, ...]) -> Constant | None:
    """A shape for Reshape: one unknown size becomes −1, "the rest"; two cannot be expressed."""
    unknown = sum(isinstance(size, str) for size in sizes)
    if unknown > 1 or (unknown and -1 in sizes):
        return None
    return Constant(tuple(-1 if isinstance(size, str) else size for size in sizes))


@rule("view", "reshape", "unflatten", "_unsafe_view", "_reshape_alias")
def _reshape(step: Step) -> Operator | None:
    sizes = _sizes(step.outputs[0].shape)
    return Operator("Reshape", (slot(step, "self"), sizes)) if sizes else None


@rule("flatten")
def _flatten(step: Step) -> Operator | None:
    start = axis(step, "start_dim")
    end = axis(step, "end_dim", default=-1)
    if start == 1 and end == len(shape(step, "self")) - 1:
        return Operator("Flatten", (slot(step, "self"),), {"axis": start})
    return _reshape(step)


@rule("permute")
def _permute(step: Step) -> Operator:
    rank = len(shape(step, "self"))
    dims = step.arguments["dims"]
    assert isinstance(dims, tuple)
    perm = tuple(dim % rank for dim in dims if isinstance(dim, int))
    return Operator("Transpose", (slot(step, "self"),), {"perm": perm})


@rule("transpose", "t", "swapaxes", "swapdims")
def _transpose(step: Step) -> Operator:
    perm = list(range(len(shape(step, "self"))))
    word = "axis" if "axis0" in step.arguments else "dim"
    first, second = axis(step, f"{word}0"), axis(step, f"{word}1", default=1)
    perm[first], perm[second] = perm[second], perm[first]
    return Operator("Transpose", (slot(step, "self"),), {"perm": tuple(perm)})


@rule("unsqueeze")
def _unsqueeze(step: Step) -> Operator:
    dim = whole(step, "dim")
    at = dim + len(shape(step, "self")) + 1 if dim < 0 else dim
    return Operator("Unsqueeze", (slot(step, "self"), Constant((at,))))


@rule("squeeze")
def _squeeze(step: Step) -> Operator:
    dims = step.arguments.get("dim")
    if dims is None:
        return Operator("Squeeze", (slot(step, "self"),))
    dims = dims if isinstance(dims, tuple) else (dims,)
    rank = len(shape(step, "self"))
    axes = tuple(dim % rank for dim in dims if isinstance(dim, int))
    return Operator("Squeeze", (slot(step, "self"), Constant(axes)))


@rule("cat", "concat")
def _concat(step: Step) -> Operator:
    parts = step.arguments["tensors"]
    assert isinstance(parts, tuple)
    inputs: tuple[Slot, ...] = tuple(part for part in parts if isinstance(part, Value | Weight))
    dim = whole(step, "dim")
    return Operator("Concat", inputs, {"axis": dim + _rank(inputs) if dim < 0 else dim})


def _rank(inputs: tuple[Slot, ...]) -> int:
    first = inputs[0]
    return len(first.shape) if isinstance(first, Value | Weight) else 0


@rule("split", "split_with_sizes", "chunk", "tensor_split")
def _split(step: Step) -> Operator:
    attributes = {"axis": axis(step, "dim"), "num_outputs": len(step.outputs)}
    return Operator("Split", (slot(step, "self"),), attributes)


@rule("select")
def _select(step: Step) -> Operator | None:
    index = slot(step, "index")
    if index is None:  # a formula over the batch
        return None
    return Operator("Gather", (slot(step, "self"), index), {"axis": axis(step, "dim")})


@rule("slice")
def _slice(step: Step) -> Operator | None:
    bounds = [step.arguments.get(name) for name in ("start", "end")]
    if any(isinstance(bound, str) for bound in bounds):
        return None
    dim = axis(step, "dim")
    side = shape(step, "self")[dim]
    end = whole(step, "end", FAR)
    if end >= FAR and isinstance(side, int):
        end = side
    numbers = (whole(step, "start"), end, dim, whole(step, "step", 1))
    return Operator("Slice", (slot(step, "self"), *(Constant((value,)) for value in numbers)))


@rule("index_select")
def _index_select(step: Step) -> Operator:
    return Operator(
        "Gather", (slot(step, "self"), slot(step, "index")), {"axis": axis(step, "dim")}
    )


@rule("gather")
def _gather(step: Step) -> Operator:
    return Operator(
        "GatherElements", (slot(step, "self"), slot(step, "index")), {"axis": axis(step, "dim")}
    )


@rule("expand")
def _expand(step: Step) -> Operator | None:
    sizes = step.outputs[0].shape
    if any(isinstance(size, str) for size in sizes):
        return None  # ONNX's Expand takes no unknown size
    return Operator("Expand", (slot(step, "self"), Constant(sizes)))  # type: ignore[arg-type]


@rule("repeat", "tile")
def _tile(step: Step) -> Operator | None:
    repeats = step.arguments.get("repeats", step.arguments.get("dims"))
    if not isinstance(repeats, tuple) or len(repeats) != len(shape(step, "self")):
        return None
    numbers = tuple(part for part in repeats if isinstance(part, int))
    if len(numbers) < len(repeats):
        return None
    return Operator("Tile", (slot(step, "self"), Constant(numbers)))


@rule("pad", "constant_pad_nd")
def _pad(step: Step) -> Operator | None:
    pad = step.arguments.get("pad")
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    mode = modes.get(str(step.arguments.get("mode", "constant")))
    if not isinstance(pad, tuple) or mode is None:
        return None
    sides = [part for part in pad if isinstance(part, int)]
    if len(sides) < len(pad):
        return None
    # torch: last dimension first, (before, after) pairs. ONNX: all beginnings, then all ends.
    rank = len(shape(step, "self"))
    padded = len(sides) // 2
    before = (0,) * (rank - padded) + tuple(sides[0::2][::-1])
    after = (0,) * (rank - padded) + tuple(sides[1::2][::-1])
    inputs = (slot(step, "self"), Constant(before + after), slot(step, "value"))
    return Operator("Pad", inputs if inputs[2] else inputs[:2], {"mode": mode})
