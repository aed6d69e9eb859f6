"""Layers: convolution, normalisation, pooling, linear, attention, dropout, resizing."""

from functools import partial

from netgraft.graph.capture.recording import Step
from netgraft.graph.operators.rule import (
    Attribute,
    Constant,
    Operator,
    Slot,
    enter,
    number,
    rule,
    shape,
    slot,
    whole,
    wholes,
)


def _window(step: Step, rank: int, kernel: tuple[int, ...]) -> dict[str, Attribute]:
    """Attributes that convolution and pooling share."""
    pads = wholes(step, "padding", rank, 0)
    return {
        "kernel_shape": kernel,
        "strides": wholes(step, "stride", rank, 1),
        "pads": pads + pads,  # ONNX: all beginnings, then all ends
        "dilations": wholes(step, "dilation", rank, 1),
    }


@rule("conv1d", "conv2d", "conv3d")
def _conv(step: Step) -> Operator | None:
    kernel = tuple(size for size in shape(step, "weight")[2:] if isinstance(size, int))
    if isinstance(step.arguments.get("padding"), str):  # "same", "valid"
        return None
    attributes = _window(step, len(kernel), kernel) | {"group": whole(step, "groups", 1)}
    return Operator("Conv", _layer_inputs(step), attributes)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _conv_transpose(step: Step) -> Operator:
    kernel = tuple(size for size in shape(step, "weight")[2:] if isinstance(size, int))
    attributes = _window(step, len(kernel), kernel) | {
        "group": whole(step, "groups", 1),
        "output_padding": wholes(step, "output_padding", len(kernel), 0),
    }
    return Operator("ConvTranspose", _layer_inputs(step), attributes)


@rule("linear")
def _linear(step: Step) -> Operator:
    # For more than two dimensions Gemm works along the last, as Linear does.
    return Operator("Gemm", _layer_inputs(step), {"transB": 1})


@rule("addmm")
def _addmm(step: Step) -> Operator | None:
    if number(step, "alpha", 1) != 1 or number(step, "beta", 1) != 1:
        return None
    return Operator("Gemm", (slot(step, "mat1"), slot(step, "mat2"), slot(step, "self")))


def _layer_inputs(step: Step) -> tuple[Slot, ...]:
    tensors = (slot(step, "input"), slot(step, "weight"), slot(step, "bias"))
    return tensors if tensors[2] else tensors[:2]


@rule("batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm")
def _batch_norm(step: Step) -> Operator | None:
    names = ("input", "weight", "bias", "running_mean", "running_var")
    inputs = tuple(slot(step, name) for name in names)
    if None in inputs:
        return None
    attributes: dict[str, Attribute] = {
        "epsilon": number(step, "eps", 1e-5),
        "momentum": 1 - number(step, "momentum", 0.1),  # ONNX counts what is kept
    }
    if step.arguments.get("training"):
        attributes["training_mode"] = 1
    return Operator("BatchNormalization", inputs, attributes)


@rule("layer_norm")
def _layer_norm(step: Step) -> Operator | None:
    normalized = step.arguments.get("normalized_shape")
    if not isinstance(normalized, tuple) or slot(step, "weight") is None:
        return None
    attributes = {"axis": -len(normalized), "epsilon": number(step, "eps", 1e-5)}
    return Operator("LayerNormalization", _layer_inputs(step), attributes)


@rule("rms_norm")
def _rms_norm(step: Step) -> Operator | None:
    normalized = step.arguments.get("normalized_shape")
    if not isinstance(normalized, tuple) or slot(step, "weight") is None:
        return None
    attributes = {"axis": -len(normalized), "epsilon": number(step, "eps", 1e-6)}
    return Operator("RMSNormalization", (slot(step, "input"), slot(step, "weight")), attributes)


@rule("group_norm")
def _group_norm(step: Step) -> Operator | None:
    inputs = (slot(step, "input"), slot(step, "weight"), slot(step, "bias"))
    if None in inputs:
        return None
    attributes = {"num_groups": whole(step, "num_groups"), "epsilon": number(step, "eps", 1e-5)}
    return Operator("GroupNormalization", inputs, attributes)


@rule("instance_norm")
def _instance_norm(step: Step) -> Operator | None:
    inputs = (slot(step, "input"), slot(step, "weight"), slot(step, "bias"))
    if None in inputs or not step.arguments.get("use_input_stats", True):
        return None
    return Operator("InstanceNormalization", inputs, {"epsilon": number(step, "eps", 1e-5)})


@rule("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices")
def _max_pool(step: Step) -> Operator:
    return _pool("MaxPool", step)


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def _average_pool(step: Step) -> Operator | None:
    if step.arguments.get("divisor_override") is not None:
        return None
    operator = _pool("AveragePool", step)
    counted = {"count_include_pad": whole(step, "count_include_pad", 1)}
    return Operator(operator.type, operator.inputs, {**operator.attributes, **counted})


def _pool(kind: str, step: Step) -> Operator:
    rank = len(shape(step, "self")) - 2
    kernel = wholes(step, "kernel_size", rank, 1)
    attributes = _window(step, rank, kernel) | {"ceil_mode": whole(step, "ceil_mode")}
    if not step.arguments.get("stride"):
        attributes["strides"] = kernel
    return Operator(kind, (slot(step, "self"),), attributes)


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d")
def _adaptive_average_pool(step: Step) -> Operator | None:
    return _adaptive("AveragePool", step, step.outputs[0].shape)


@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _adaptive_max_pool(step: Step) -> Operator | None:
    return _adaptive("MaxPool", step, step.outputs[0].shape)


def _adaptive(kind: str, step: Step, made: tuple[int | str, ...]) -> Operator | None:
    """Exact if all windows have the same size: one output pixel, or a side that divides evenly."""
    sides = list(zip(shape(step, "self")[2:], made[2:], strict=False))
    if all(after == 1 for _, after in sides):
        return Operator(f"Global{kind}", (slot(step, "self"),))
    kernel = tuple(
        before // after
        for before, after in sides
        if isinstance(before, int) and isinstance(after, int) and before % after == 0
    )
    if len(kernel) < len(sides):
        return None
    return Operator(kind, (slot(step, "self"),), {"kernel_shape": kernel, "strides": kernel})


@rule("dropout", "feature_dropout", "alpha_dropout")
def _dropout(step: Step) -> Operator:
    data = slot(step, "input") or slot(step, "self")  # the in-place form names it "self"
    return Operator("Dropout", (data, Constant((number(step, "p"),), scalar=True)))


@rule("scaled_dot_product_attention")
def _attention(step: Step) -> Operator:
    inputs = [slot(step, name) for name in ("query", "key", "value", "attn_mask")]
    attributes: dict[str, Attribute] = {"is_causal": whole(step, "is_causal")}
    if isinstance(scale := step.arguments.get("scale"), float):
        attributes["scale"] = scale
    return Operator("Attention", tuple(inputs if inputs[3] else inputs[:3]), attributes)


@rule("embedding")
def _embedding(step: Step) -> Operator:
    return Operator("Gather", (slot(step, "weight"), slot(step, "indices")), {"axis": 0})


RESIZE_MODES = {
    "linear": ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d"),
    "cubic": ("upsample_bicubic2d",),
    "nearest": ("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d"),
}


def _resize(step: Step, mode: str) -> Operator | None:
    sides = step.outputs[0].shape[2:]
    sizes = tuple(size for size in sides if isinstance(size, int))
    if len(sizes) < len(sides):
        return None
    how = "align_corners" if step.arguments.get("align_corners") else "half_pixel"
    attributes: dict[str, Attribute] = {
        "mode": mode,
        "coordinate_transformation_mode": "asymmetric" if mode == "nearest" else how,
        "axes": tuple(range(2, 2 + len(sizes))),
    }
    if mode == "nearest":
        attributes["nearest_mode"] = "floor"
    image = slot(step, "input") or slot(step, "self")
    return Operator("Resize", (image, None, None, Constant(sizes)), attributes)


for _mode, _names in RESIZE_MODES.items():
    enter(_names, partial(_resize, mode=_mode))


@rule("pixel_shuffle")
def _pixel_shuffle(step: Step) -> Operator:
    attributes: dict[str, Attribute] = {"blocksize": whole(step, "upscale_factor"), "mode": "CRD"}
    return Operator("DepthToSpace", (slot(step, "self"),), attributes)
