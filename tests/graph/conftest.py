"""Small models, and a check that a document is well-formed."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from onnx import GraphProto, ModelProto, NodeProto
from torch import Tensor, nn

from netgraft.graph import document
from netgraft.graph.capture.capture import sizes
from netgraft.graph.capture.exporting import export
from netgraft.graph.capture.recording import Recording
from netgraft.graph.nesting import Graph, nest
from netgraft.graph.servicer import GraphsServicer
from netgraft.store.store import Store

if TYPE_CHECKING:
    from tests.graph.site import Site


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'netgraft.db'}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Site]":
    from tests.graph.site import Site

    folder = tmp_path_factory.mktemp("viewer")
    store = Store(str(folder / "store"), f"sqlite:///{folder / 'db'}")
    with Site(GraphsServicer(store)).serving() as site:
        yield site


class Block(nn.Module):
    """x + relu(conv(x))"""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x_NCHW: Tensor) -> Tensor:
        sum_NCHW: Tensor = x_NCHW + self.relu(self.conv(x_NCHW))
        return sum_NCHW


class Residual(nn.Module):
    """A stem, two blocks, a head in a container of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.Sequential(Block(), Block())
        self.head = nn.Sequential(nn.Linear(4, 5))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        features_NC = self.blocks(self.stem(x_NCHW)).mean((2, 3))
        logits_NK: Tensor = self.head(features_NC)
        return logits_NK


def picture(size: int = 8) -> tuple[Tensor, ...]:
    """A batch of two meta pictures."""
    return (torch.empty(2, 3, size, size, device="meta"),)


def on_meta(module: nn.Module) -> nn.Module:
    return module.to("meta").eval()


def graph_of(module: nn.Module, inputs: tuple[Tensor, ...] | None = None) -> Graph:
    return nested(export(on_meta(module), inputs or picture()), module)


def nested(recording: Recording, module: nn.Module) -> Graph:
    return nest(recording, sizes(module))


def document_of(graph: Graph) -> ModelProto:
    model = ModelProto()
    model.ParseFromString(document.write(graph, "test"))
    return model


def every_graph(graph: GraphProto) -> Iterator[GraphProto]:
    """A graph and all graphs of modules within it."""
    yield graph
    for node in graph.node:
        for inner in inner_graphs(node):
            yield from every_graph(inner)


def inner_graphs(node: NodeProto) -> list[GraphProto]:
    return [attribute.g for attribute in node.attribute if attribute.HasField("g")]


def every_node(model: ModelProto) -> list[NodeProto]:
    return [node for graph in every_graph(model.graph) for node in graph.node]


def notes(node: NodeProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in node.metadata_props}


def assert_connected(model: ModelProto) -> None:
    """Check that every edge has a source, a target and a type, and every box has an edge."""
    for graph in every_graph(model.graph):
        known = {value.name for value in graph.input}
        known |= {tensor.name for tensor in graph.initializer}
        typed = {value.name for value in [*graph.input, *graph.output, *graph.value_info]}
        read: set[str] = set()
        for node in graph.node:
            flowing = [name for name in node.input if name]
            assert set(flowing) <= known, f"{node.name} reads what nothing made"
            assert not known & set(node.output), f"{node.name} makes what exists"
            assert set(node.output) <= typed, f"{node.name} makes what has no type"
            known |= set(node.output)
            read |= set(flowing)
            for inner in inner_graphs(node):
                assert len(inner.input) == len(node.input), node.name
                assert len(inner.output) == len(node.output), node.name
        outputs = {value.name for value in graph.output}
        assert {value.name for value in graph.input} <= read | outputs, f"{graph.name} drops input"
        assert outputs <= known
        for node in graph.node:
            assert set(node.output) & (read | outputs), f"{node.name} leads nowhere"
