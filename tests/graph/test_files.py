"""Users' files, drawn by us if they can be built, else by Netron as they are."""

import io
import json
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
import torchvision
from onnx import TensorProto, helper
from playwright.sync_api import Browser, expect
from safetensors.torch import save_file
from tests.graph.site import Site, watched
from torch import nn

from netgraft.errors import NotFound, OnlyDrawn, OutsideDataRoots
from netgraft.graph.servicer import GraphsServicer
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETGRAFT_DATA_ROOTS", str(root))
        settings.cache_clear()
        yield root
    settings.cache_clear()


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> GraphsServicer:
    folder = tmp_path_factory.mktemp("store")
    return GraphsServicer(Store(str(folder / "store"), f"sqlite:///{folder / 'db'}"))


def draw(graphs: GraphsServicer, model: str) -> graph_pb2.Graph:
    return graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model))


def get(graphs: GraphsServicer, graph: graph_pb2.Graph, path: str) -> bytes:
    request = graph_pb2.GetViewerFileRequest(model_id=graph.model_id, path=path)
    return graphs.GetViewerFile(request).data


def operators(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Module and operator of every node, in order."""
    for node in nodes:
        if "nodes" in node:
            yield from operators(node["nodes"])
        else:
            yield node["module"], node["operator"]


@pytest.mark.parametrize("name", ["resnet18", "timm/convnext_atto"])
def test_a_whole_pickled_model_draws_the_operators_of_the_zoos(
    graphs: GraphsServicer, root: Path, name: str
) -> None:
    make = timm.create_model if name.startswith("timm/") else torchvision.models.get_model
    torch.save(make(name.removeprefix("timm/")), root / "whole.pth")
    own, zoo = draw(graphs, "./whole.pth"), draw(graphs, f"{name}@none")
    assert (own.method, own.operators) == ("export", zoo.operators)
    assert own.parameters == zoo.parameters
    drawn = [json.loads(get(graphs, graph, "model.json"))["nodes"] for graph in (own, zoo)]
    assert list(operators(drawn[0])) == list(operators(drawn[1]))


def test_a_state_dict_draws_the_structure_that_it_fits(graphs: GraphsServicer, root: Path) -> None:
    torch.save(torchvision.models.resnet18(num_classes=7).state_dict(), root / "seven.pth")
    graph = draw(graphs, "seven.pth")
    assert graph.method == "export"
    assert graph.parameters == 11_180_103
    assert b"seven.pth" in get(graphs, graph, "")


def test_no_document_says_where_the_server_keeps_files(graphs: GraphsServicer, root: Path) -> None:
    torch.save(torchvision.models.squeezenet1_1(), root / "whole.pth")
    graph = draw(graphs, str(root / "whole.pth"))
    for path in ("", "model.onnx", "model.json", "lens.json"):
        assert str(root).encode() not in get(graphs, graph, path)
    assert str(root) not in str(graph)


def test_nothing_outside_the_roots_is_drawn(graphs: GraphsServicer, root: Path) -> None:
    with pytest.raises(OutsideDataRoots):
        draw(graphs, "/etc/hostname.onnx")


# What Netron reads by itself


def onnx_bytes() -> bytes:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], name="<b>conv</b>"),
        helper.make_node("Relu", ["y"], ["z"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [value("z", TensorProto.FLOAT, None)],
        [helper.make_tensor("w", TensorProto.FLOAT, [2, 1, 3, 3], [0.0] * 18)],
    )
    return helper.make_model(graph).SerializeToString()  # type: ignore[no-any-return]


def keras_bytes() -> bytes:
    layers = [
        {
            "module": "keras.layers",
            "class_name": "InputLayer",
            "config": {"batch_shape": [None, 4], "dtype": "float32", "name": "input"},
        },
        {
            "module": "keras.layers",
            "class_name": "Dense",
            "config": {"name": "dense", "units": 2, "activation": "relu", "use_bias": True},
        },
    ]
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "sequential", "layers": layers},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("config.json", json.dumps(config))
    return out.getvalue()


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x_NC: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x_NC))


def scripted() -> bytes:
    out = io.BytesIO()
    torch.jit.save(torch.jit.trace(Small(), torch.zeros(1, 4)), out)
    return out.getvalue()


def exported() -> bytes:
    out = io.BytesIO()
    torch.export.save(torch.export.export(Small(), (torch.zeros(2, 4),)), out)
    return out.getvalue()


def state() -> bytes:
    out = io.BytesIO()
    torch.save({"body.weight": torch.zeros(3, 2), "body.bias": torch.zeros(3)}, out)
    return out.getvalue()


def tensors() -> bytes:
    header = json.dumps({"body.weight": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
    return struct.pack("<Q", len(header)) + header.encode() + bytes(8)


def arrays() -> bytes:
    out = io.BytesIO()
    np.savez(out, weight=np.zeros((2, 3)))
    return out.getvalue()


CAFFE = b'name: "n"\nlayer { name: "ip" type: "InnerProduct" bottom: "data" top: "ip" }\n'

OTHERS = [
    ("net.onnx", onnx_bytes, "Conv"),
    ("net.pt", scripted, "linear"),
    ("net.pt2", exported, "linear"),
    ("own.pth", state, "body"),
    ("net.safetensors", tensors, "body"),
    ("net.keras", keras_bytes, "Dense"),
    ("net.npz", arrays, "weight"),
    ("net.prototxt", lambda: CAFFE, "InnerProduct"),
]


@pytest.mark.parametrize(("name", "content", "word"), OTHERS, ids=[name for name, _, _ in OTHERS])
def test_netron_draws_the_file_as_it_is(
    graphs: GraphsServicer, root: Path, browser: Browser, name: str, content: Any, word: str
) -> None:
    (root / name).write_bytes(content())
    graph = draw(graphs, name)
    assert graph.method == "file"
    site = Site(graphs)
    with site.serving(), watched(browser, site) as page:
        page.goto(site.origin + graph.page)
        expect(page.locator("html")).to_have_attribute("data-netgraft", "drawn", timeout=60_000)
        expect(page.locator("#canvas .graph-node").first).to_be_attached()
        assert word.lower() in (page.locator("#canvas").text_content() or "").lower()
        assert page.title() == name
        assert page.locator("#canvas b").count() == 0, "names from files are text"


def test_a_file_that_is_only_shown_has_no_other_documents(
    graphs: GraphsServicer, root: Path
) -> None:
    (root / "net.onnx").write_bytes(onnx_bytes())
    graph = draw(graphs, "net.onnx")
    assert get(graphs, graph, "file.onnx") == onnx_bytes()
    assert (graph.top_level_nodes, graph.operators, graph.parameters) == (2, 2, 18)
    for path in ("model.onnx", "model.json", "lens.json"):
        with pytest.raises(OnlyDrawn):
            get(graphs, graph, path)
    with pytest.raises(NotFound):
        get(graphs, graph, "net.onnx")


def test_a_hostile_name_is_text_on_the_page(graphs: GraphsServicer, root: Path) -> None:
    hostile = "<script>alert(1)<!--\"'.onnx"
    (root / hostile).write_bytes(onnx_bytes())
    page = get(graphs, draw(graphs, f"./{hostile}"), "").decode()
    assert "<script>alert" not in page
    assert "alert(1)" in page


def test_safetensors_that_fit_are_drawn_by_us(graphs: GraphsServicer, root: Path) -> None:
    save_file(torchvision.models.squeezenet1_1().state_dict(), str(root / "fit.safetensors"))
    assert draw(graphs, "fit.safetensors").method == "export"
