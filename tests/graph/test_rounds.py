"""Loops in a model's code become rounds in its picture."""

import json

import torch
from tests.graph.conftest import assert_connected, document_of, graph_of
from torch import Tensor, nn

from netgraft.graph import lens
from netgraft.graph.capture.capture import capture, parameters, sizes
from netgraft.graph.drawings import RecipeSubject
from netgraft.graph.nesting import Graph, Group, nest
from netgraft.models.resolve import resolve
from netgraft.store.store import Store


class Refined(nn.Module):
    """Refines its result in a loop, much of it in operators of its own."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        self.stem = nn.Conv2d(3, 4, 1)
        self.update = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Tanh())

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = torch.relu(self.stem(x_NCHW))
        for _ in range(self.rounds):
            moved = x_NCHW
            for _ in range(8):
                moved = torch.sin(moved) * 0.5 + x_NCHW
            x_NCHW = x_NCHW + self.update(moved)
        return x_NCHW.mean((2, 3))


def rounds_of(graph: Graph) -> list[Group]:
    return [node for node in graph.nodes if isinstance(node, Group) and node.type == "Round"]


def operators(graph: Graph) -> list[str]:
    return [operation.target for operation in graph.operations()]


def test_a_long_loop_is_drawn_round_by_round_with_all_its_operators() -> None:
    module = Refined(rounds=6)
    graph = graph_of(module)
    found = rounds_of(graph)
    assert [group.name for group in found] == [f"round {i} of 6" for i in range(1, 7)]
    assert len(graph.nodes) == len(found) + 3  # the stem, its relu, the mean
    assert len({len(group.nodes) for group in found}) == 1
    flat = Refined(rounds=1)
    assert len(operators(graph)) == 6 * (len(operators(graph_of(flat))) - 3) + 3
    assert_connected(document_of(graph))


def test_a_short_loop_is_left_as_it_is() -> None:
    graph = graph_of(Refined(rounds=3))
    assert rounds_of(graph) == []
    assert len(graph.nodes) < 100


def test_a_module_in_a_loop_keeps_its_name_in_every_round_and_a_round_knows_its_weights() -> None:
    module = Refined(rounds=6)
    graph = graph_of(module)
    names = [
        next(n.name for n in group.nodes if isinstance(n, Group)) for group in rounds_of(graph)
    ]
    assert names == ["update", *(f"update@{i}" for i in range(2, 7))]
    boxes = json.loads(lens.write(graph, parameters(module), {}))["boxes"]
    held = sum(p.numel() for p in module.update.parameters())
    assert {boxes[f"round {i} of 6"]["parameters"] for i in range(1, 7)} == {held}


def test_optical_flow_fits_a_screen_and_its_rounds_are_alike(store: Store) -> None:
    recipe = resolve("raft_small", "none", store).recipe
    recording, module = capture(RecipeSubject(recipe, store))
    graph = nest(recording, sizes(module))
    assert len(graph.nodes) <= 60
    assert len(rounds_of(graph)) == 12
    assert [value.shape[0] for value in graph.inputs] == ["N", "N"]
    assert all(any("update_block" in n.name for n in r.nodes) for r in rounds_of(graph))
    assert graph.size().parameters == sum(p.numel() for p in module.parameters())
