"""Operations and bytes, counted from shapes, agree with torch and with `inspect`."""

import pytest
import torch
from tests.graph.conftest import graph_of
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.ops import deform_conv2d

from netgraft.anatomy import operations
from netgraft.anatomy.inspection import flops
from netgraft.graph.capture.capture import capture, sizes
from netgraft.graph.capture.tracing import trace
from netgraft.graph.cost import Cost, size_of
from netgraft.graph.drawings import RecipeSubject
from netgraft.graph.lens import cost_of
from netgraft.graph.nesting import Graph, nest
from netgraft.models.bases import example_inputs
from netgraft.models.resolve import resolve
from netgraft.store.store import Store

MODELS = (
    "resnet18", "mobilenet_v3_small", "vit_b_16", "swin_v2_t", "convnext_tiny", "regnet_y_400mf",
    "deeplabv3_mobilenet_v3_large", "r3d_18", "timm/test_vit", "timm/test_efficientnet",
    "timm/mixer_s32_224", pytest.param("timm/coat_tiny", marks=pytest.mark.slow),
)  # fmt: skip
"""coat_tiny multiplies matrices in batches as swin_v2_t does, and takes longer than all others."""


def total(graph: Graph, batch: int = 1) -> Cost:
    return sum((cost_of(graph, o.step, batch) for o in graph.operations()), Cost())


@pytest.mark.parametrize("name", MODELS)
def test_the_operations_of_a_model_are_those_that_torch_counts_and_inspect_says(
    name: str, store: Store
) -> None:
    recipe = resolve(name, "none", store).recipe
    recording, module = capture(RecipeSubject(recipe, store))
    counter = FlopCounterMode(display=False)
    with counter:
        module(*example_inputs(recipe.base, batch=1))
    graph = nest(recording, sizes(module))
    assert total(graph).flops == counter.get_total_flops() == flops(recipe, store)
    # Some of it is done once for a batch of any size, such as the biases of swin_v2_t.
    assert total(graph, 8).flops == pytest.approx(8 * counter.get_total_flops(), rel=0.01)


def test_a_transposed_convolution_and_a_grouped_one_count_as_torch_counts_them() -> None:
    module = nn.Sequential(
        nn.Conv2d(3, 6, 3, groups=3), nn.ConvTranspose2d(6, 4, 3, stride=2), nn.Conv2d(4, 4, 1)
    )
    counter = FlopCounterMode(display=False)
    with counter:
        module(torch.zeros(1, 3, 8, 8))
    assert total(graph_of(module)).flops == counter.get_total_flops()


def test_the_picture_of_a_detector_counts_the_forward_that_it_shows(store: Store) -> None:
    """On real values, because they determine how many boxes are kept."""
    recipe = resolve("ssdlite320_mobilenet_v3_large", "none", store).recipe
    module = RecipeSubject(recipe, store).module("cpu")
    inputs = example_inputs(recipe.base, 1, "cpu")
    graph = nest(trace(module, inputs), sizes(module))
    with torch.no_grad():
        counted = operations.of_forward(lambda: module(*inputs))
    assert total(graph).flops == counted > 0


def test_products_that_torch_does_not_count_are_the_same_in_a_picture_and_a_forward() -> None:
    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.offset_1PHW = nn.Parameter(torch.zeros(1, 18, 4, 4))
            self.kernel = nn.Parameter(torch.zeros(5, 2, 3, 3))
            self.vector_W = nn.Parameter(torch.zeros(4))

        def forward(self, x_NCHW: Tensor) -> Tensor:
            bent = deform_conv2d(x_NCHW, self.offset_1PHW.expand(2, -1, -1, -1), self.kernel,
                                 padding=1)  # fmt: skip
            return (bent @ self.vector_W).flatten() @ x_NCHW.flatten()[:40]

    module = Products().to("meta")
    picture = torch.zeros(2, 2, 4, 4, device="meta")
    bent, by_vector, dot = 2 * 16 * 90 * 2, 2 * 2 * 5 * 16, 2 * 40
    counted = operations.of_forward(lambda: module(picture))
    with torch.no_grad():
        recording = trace(module, (picture,), examples=2)
    graph = nest(recording, sizes(module))
    assert total(graph, 2).flops == counted == bent + by_vector + dot


def test_shapes_that_do_not_fit_each_other_count_nothing() -> None:
    """Sizes that depend on data are unknown and count as 1."""
    left, right = operations.Shaped((2, 3), "float32"), operations.Shaped((1, 5), "float32")
    arguments = {"self": left, "mat2": right}
    assert operations.of_operator("aten.mm.default", arguments) == 0
    fitting = {"self": left, "mat2": operations.Shaped((3, 5), "float32")}
    assert operations.of_operator("aten.mm.default", fitting) == 2 * 2 * 3 * 5


def test_a_recurrent_layer_counts_every_gate_of_every_token() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.LSTM(6, 5, num_layers=2, bidirectional=True, batch_first=True)

        def forward(self, x_NTC: Tensor) -> Tensor:
            return self.rnn(x_NTC)[0]  # type: ignore[no-any-return]

    module = Reader().to("meta")
    counter = FlopCounterMode(display=False)
    with counter:
        module(torch.zeros(1, 7, 6, device="meta"))
    graph = graph_of(module, (torch.empty(2, 7, 6, device="meta"),))
    assert total(graph).flops == counter.get_total_flops() > 0


def test_views_and_writes_in_place_take_no_memory() -> None:
    class Shuffle(nn.Module):
        def forward(self, x_NCHW: Tensor) -> Tensor:
            return x_NCHW.permute(0, 2, 3, 1)[:, 1:].add(1).relu_().mul(2)

    made = 7 * 8 * 3 * 4  # the sum and the product, each once
    assert total(graph_of(Shuffle())).bytes == 2 * made
    assert total(graph_of(Shuffle()), 5).bytes == 5 * 2 * made


@pytest.mark.parametrize(
    ("formula", "number"),
    [("N", 4), ("12·N", 48), ("N//2+1", 3), ("((N+1)//2)", 2), ("floor(N/3)", 1), ("Mod(N,3)", 1)],
)
def test_a_formula_over_the_batch_is_a_number(formula: str, number: int) -> None:
    assert size_of(formula, 4) == number


def test_a_formula_is_read_not_run() -> None:
    assert size_of("__import__('os').getpid()", 4) == 1
