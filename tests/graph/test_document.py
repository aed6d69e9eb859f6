"""The documents of real models: well-formed, connected, with ONNX's names."""

import os
from functools import lru_cache
from pathlib import Path

import onnx
import pytest
import torch
import torchvision
from onnx import ModelProto, NodeProto, TensorProto, checker
from tests.graph.conftest import (
    Residual,
    assert_connected,
    document_of,
    every_graph,
    every_node,
    graph_of,
    inner_graphs,
    notes,
)
from torch import Tensor, nn

from netgraft.graph import document, hierarchy
from netgraft.graph.nesting import Graph

MODELS = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "vit_b_16")


@lru_cache(maxsize=len(MODELS))
def drawn(name: str) -> tuple[Graph, bytes]:
    with torch.device("meta"):
        module = getattr(torchvision.models, name)()
    graph = graph_of(module, (torch.empty(2, 3, 224, 224, device="meta"),))
    return graph, document.write(graph, name)


def parsed(name: str) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(drawn(name)[1])
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_real_model_is_connected_at_every_level(name: str) -> None:
    assert_connected(parsed(name))


@pytest.mark.parametrize("name", MODELS)
def test_every_onnx_operator_is_as_its_schema_says(name: str) -> None:
    context = checker.DEFAULT_CONTEXT
    context.opset_imports = {"": document.OPSET}
    context.ir_version = document.IR_VERSION
    for node in every_node(parsed(name)):
        if node.domain == "":
            bare = NodeProto()
            bare.CopyFrom(node)
            checker.check_node(bare, context)


@pytest.mark.parametrize("name", MODELS)
def test_nearly_every_operator_is_known_to_the_viewer(name: str) -> None:
    operators = [node for node in every_node(parsed(name)) if node.domain != document.MODULES]
    known = sum(node.domain == "" for node in operators)
    assert known / len(operators) > 0.95


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_is_symbolic_on_every_edge_that_has_it(name: str) -> None:
    model = parsed(name)
    for graph in every_graph(model.graph):
        for value in [*graph.input, *graph.output]:
            dims = value.type.tensor_type.shape.dim
            assert any(dim.dim_param for dim in dims), value.name
    first = model.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in first] == ["N", 3, 224, 224]


@pytest.mark.parametrize("name", MODELS)
def test_no_name_of_this_machine_is_in_the_bytes(name: str) -> None:
    graph, data = drawn(name)
    for text in (data, hierarchy.write(graph, name)):
        for secret in (str(Path(torch.__file__).parent), str(Path.cwd()), "/lib/python", ".py"):
            assert secret.encode() not in text
        assert os.uname().nodename.encode() not in text or len(os.uname().nodename) < 4


def test_resnet18_reads_as_its_author_wrote_it() -> None:
    model = parsed("resnet18")
    names = " ".join(node.name for node in model.graph.node)
    assert names == "conv1 bn1 relu maxpool layer1 layer2 layer3 layer4 avgpool flatten fc"
    layer2 = next(node for node in model.graph.node if node.name == "layer2")
    assert (layer2.op_type, layer2.domain) == ("Sequential", document.MODULES)
    assert notes(layer2) == {
        "module": "layer2",
        "class": "Sequential",
        "parameters": "525,568",
    }
    assert layer2.attribute[0].name == "2 × BasicBlock · 525,568 parameters"
    (inner,) = inner_graphs(layer2)
    assert [node.op_type for node in inner.node] == ["BasicBlock", "BasicBlock"]
    (block,) = inner_graphs(inner.node[0])
    assert [node.op_type for node in block.node] == [
        "Conv",
        "BatchNormalization",
        "Relu",
        "Conv",
        "BatchNormalization",
        "Sequential",
        "Add",
        "Relu",
    ]


def test_weights_have_a_shape_and_no_data() -> None:
    model = parsed("resnet18")
    weights = {
        tensor.name: tensor
        for graph in every_graph(model.graph)
        for tensor in graph.initializer
        if tensor.data_location == TensorProto.EXTERNAL
    }
    assert list(weights["fc.weight"].dims) == [1000, 512]
    assert not any(tensor.raw_data or tensor.float_data for tensor in weights.values())
    state = torchvision.models.resnet18().state_dict()
    assert set(weights) == {name for name in state if not name.endswith("num_batches_tracked")}


def test_what_is_frozen_is_said() -> None:
    module = Residual()
    module.stem.requires_grad_(False)
    model = document_of(graph_of(module))
    stem, blocks = model.graph.node[:2]
    assert notes(stem)["trainable"] == "0"
    assert "trainable" not in notes(blocks)


def test_the_same_model_gives_the_same_bytes() -> None:
    first, second = (document.write(graph_of(Residual()), "same") for _ in range(2))
    assert first == second


def test_outputs_by_name_are_outputs_of_the_document() -> None:
    class Named(nn.Module):
        def forward(self, x_NCHW: Tensor) -> dict[str, Tensor]:
            return {"out": x_NCHW + 1, "same": x_NCHW + 1, "given": x_NCHW}

    model = document_of(graph_of(Named()))
    assert {value.name for value in model.graph.output} == {"out", "same"}
    assert_connected(model)


def test_hostile_names_stay_names() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<script>alert(1)</script>", nn.Conv2d(3, 3, 1))
            self.add_module("a b'c\"d", nn.Conv2d(3, 3, 1))

        def forward(self, x_NCHW: Tensor) -> Tensor:
            for module in self.children():
                x_NCHW = module(x_NCHW)
            return x_NCHW

    model = document_of(graph_of(Odd()))
    assert [node.name for node in model.graph.node] == ["<script>alert(1)</script>", "a b'c\"d"]


def test_onnx_reads_the_document(tmp_path: Path) -> None:
    file = tmp_path / "resnet18.onnx"
    file.write_bytes(drawn("resnet18")[1])
    assert len(onnx.load(file, load_external_data=False).graph.node) == 11
