"""The names of operators in the picture."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraft.graph.capture.exporting import export
from netgraft.graph.capture.recording import Value
from netgraft.graph.operators import TORCH, Constant, Operator, translate


class Runs(nn.Module):
    def __init__(self, code: object) -> None:
        super().__init__()
        self.code = code
        self.weight = nn.Parameter(torch.zeros(3, 3))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        return self.code(x_NCHW, self.weight)  # type: ignore[no-any-return, operator]


def word(code: object, shape: tuple[int, ...] = (2, 3, 8, 8)) -> Operator:
    """The last operator of some code."""
    module = Runs(code).to("meta").eval()
    return translate(export(module, (torch.empty(shape, device="meta"),)).steps[-1])


@pytest.mark.parametrize(
    ("code", "type_", "attributes"),
    [
        (lambda x, w: F.relu6(x, inplace=True), "Clip", {}),
        (lambda x, w: F.hardswish(x, inplace=False), "HardSwish", {}),
        (lambda x, w: F.silu(x, inplace=True), "Swish", {}),
        (lambda x, w: F.gelu(x, approximate="tanh"), "Gelu", {"approximate": "tanh"}),
        (lambda x, w: F.leaky_relu(x, 0.2), "LeakyRelu", {"alpha": 0.2}),
        (lambda x, w: x.softmax(-1), "Softmax", {"axis": 3}),
        (lambda x, w: F.adaptive_avg_pool2d(x, 1), "GlobalAveragePool", {}),
        (
            lambda x, w: F.adaptive_avg_pool2d(x, 4),
            "AveragePool",
            {"kernel_shape": (2, 2), "strides": (2, 2)},
        ),
        (lambda x, w: x.mean((2, 3), keepdim=True), "GlobalAveragePool", {}),
        (lambda x, w: x.mean((2, 3)), "ReduceMean", {"keepdims": 0}),
        (lambda x, w: x.flatten(1), "Flatten", {"axis": 1}),
        (lambda x, w: x.permute(0, -1, 1, 2), "Transpose", {"perm": (0, 3, 1, 2)}),
        (lambda x, w: x.transpose(1, -1), "Transpose", {"perm": (0, 3, 2, 1)}),
        (lambda x, w: torch.cat([x, x], 1), "Concat", {"axis": 1}),
        (lambda x, w: x @ x, "MatMul", {}),
        (F.linear, "Gemm", {"transB": 1}),
        (
            lambda x, w: F.max_pool2d(x, 3, 2, 1),
            "MaxPool",
            {
                "kernel_shape": (3, 3),
                "strides": (2, 2),
                "pads": (1, 1, 1, 1),
                "dilations": (1, 1),
                "ceil_mode": 0,
            },
        ),
    ],
)
def test_an_operator_with_an_exact_counterpart_is_called_by_it(
    code: object, type_: str, attributes: dict[str, object]
) -> None:
    shape = (2, 3, 8, 3) if type_ == "Gemm" else (2, 3, 8, 8)
    found = word(code, shape)
    assert (found.domain, found.type, dict(found.attributes)) == ("", type_, attributes)


@pytest.mark.parametrize(
    "code",
    [
        lambda x, w: x.roll(1, 2),
        lambda x, w: F.adaptive_avg_pool2d(x, 3),  # windows of unequal size
        lambda x, w: torch.add(x, x, alpha=2),
        lambda x, w: torch.div(x, x, rounding_mode="floor"),
        lambda x, w: F.softplus(x, beta=2),
        # two unknown sizes
        lambda x, w: (x.flatten(1) @ x.flatten(1).T).reshape(x.shape[0], 1, x.shape[0]),
    ],
)
def test_what_has_no_exact_counterpart_keeps_its_name(code: object) -> None:
    found = word(code)
    assert found.domain == TORCH
    assert found.input_names


def test_an_unknown_size_of_a_reshape_is_what_remains() -> None:
    found = word(lambda x, w: x.reshape(x.shape[0] * 3, 64))
    assert found.inputs[1] == Constant((-1, 64))


def test_settings_that_onnx_wants_as_inputs_are_constants() -> None:
    found = word(lambda x, w: x.clamp(-1.5, 2))
    assert found.inputs[1:] == (Constant((-1.5,), scalar=True), Constant((2,), scalar=True))


def test_an_in_place_form_is_called_as_the_other() -> None:
    found = word(lambda x, w: F.dropout(x + 1, 0.2, training=False, inplace=True))
    assert found.type == "Dropout"
    assert isinstance(found.inputs[0], Value)


def test_a_tensor_where_a_setting_is_usual_keeps_its_edge() -> None:
    found = word(lambda x, w: x.clamp(min=x.mean()))
    assert sum(isinstance(slot, Value) for slot in found.inputs) == 2


def test_padding_is_turned_round() -> None:
    found = word(lambda x, w: F.pad(x, (1, 2, 3, 4)))
    assert found.inputs[1] == Constant((0, 0, 3, 1, 0, 0, 4, 2))
