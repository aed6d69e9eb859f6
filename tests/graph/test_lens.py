"""The numbers of each box: parameters, trainable ones, operations, memory, change."""

import json
from typing import Any

import pytest
import torch
from tests.graph.conftest import Residual, graph_of
from torch import Tensor, nn

from netgraft.graph import lens
from netgraft.graph.capture.capture import parameters
from netgraft.graph.lens import Change
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import base_module
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2


def boxes(module: nn.Module, changes: dict[str, Change] | None = None) -> dict[str, Any]:
    graph = graph_of(module)
    document: dict[str, Any] = json.loads(lens.write(graph, parameters(module), changes or {}))
    return document["boxes"] | {"": document["total"]}


def test_every_box_says_exactly_what_trains() -> None:
    module = Residual()
    module.blocks[0].requires_grad_(False)
    assert module.stem.bias is not None
    module.stem.bias.requires_grad_(False)
    found = {name: (box["parameters"], box["trainable"]) for name, box in boxes(module).items()}
    block = 4 * 4 * 9 + 4
    assert found["stem"] == (4 * 3 * 9 + 4, 4 * 3 * 9)
    assert found["blocks.0"] == found["blocks.0.conv"] == (block, 0)
    assert found["blocks.1"] == found["blocks.1.conv"] == (block, block)
    assert found["blocks"] == (2 * block, block)
    assert found["blocks.0.relu"] == (0, 0)
    held = list(module.parameters())
    assert found[""] == (
        sum(p.numel() for p in held),
        sum(p.numel() for p in held if p.requires_grad),
    )


def test_a_shared_parameter_counts_once_in_a_box_and_in_each_box_that_reads_it() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
            self.second.weight = self.first.weight

        def forward(self, x_NC: Tensor) -> Tensor:
            return self.second(self.first(x_NC))  # type: ignore[no-any-return]

    with torch.device("meta"):  # moving there later would untie them
        module = Tied()
    graph = graph_of(module, (torch.empty(2, 4, device="meta"),))
    document = json.loads(lens.write(graph, parameters(module), {}))
    counts = {name: box["parameters"] for name, box in document["boxes"].items()}
    assert counts == {"first": 20, "second": 20}
    assert document["total"]["parameters"] == 24


def test_change_is_the_norm_of_what_moved_over_the_norm_of_what_was() -> None:
    moved = {
        "stem.weight": Change(moved=9.0, before=100.0),
        "stem.bias": Change(moved=0.0, before=44.0),
    }
    found = boxes(Residual(), moved)
    assert found["stem"]["change"] == pytest.approx((9 / 144) ** 0.5)
    assert "change" not in found["blocks"]


def test_after_a_training_the_lens_shows_how_far_each_layer_moved(store: Store) -> None:
    recipe = resolve("timm/test_resnet@none", "none", store).recipe
    weight = dict(base_module(recipe.base).named_parameters())["fc.weight"].detach()
    delta = store.put_tensors({"fc.weight": 1.5 * weight})
    tuned = Recipe(recipe.base, (Tuned("tune-1", delta),))
    put_recipe(store, tuned)
    graphs = GraphsServicer(store)
    request = graph_pb2.GetViewerFileRequest(model_id=tuned.id, path="lens.json")
    document = json.loads(graphs.GetViewerFile(request).data)
    assert "change" in document["lenses"]
    changes = {name: box["change"] for name, box in document["boxes"].items() if "change" in box}
    bias = dict(base_module(recipe.base).named_parameters())["fc.bias"].detach()
    whole = (weight.square().sum() + bias.square().sum()).sqrt()
    assert changes["fc"] == pytest.approx(float(0.5 * weight.norm() / whole), rel=1e-4)
    assert all(change == 0 for name, change in changes.items() if name != "fc")


def test_an_untrained_model_has_no_lens_of_change(store: Store) -> None:
    recipe = resolve("squeezenet1_1", "none", store).recipe
    graphs = GraphsServicer(store)
    request = graph_pb2.GetViewerFileRequest(model_id=recipe.id, path="lens.json")
    assert "change" not in json.loads(graphs.GetViewerFile(request).data)["lenses"]
