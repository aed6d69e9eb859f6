"""The Graphs service in-process."""

import json

import pytest
from onnx import ModelProto
from tests.graph.conftest import assert_connected

from netgraft.errors import NotFound, UnknownModel, UnknownModule
from netgraft.graph.drawings import Drawings
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.resolve import resolve
from netgraft.serving.servicers import speak
from netgraft.store.store import Store
from netgraft.v1 import graph_pb2


@pytest.fixture
def graphs(store: Store) -> GraphsServicer:
    return GraphsServicer(store)


def draw(graphs: GraphsServicer, model: str, focus: str = "") -> graph_pb2.Graph:
    return graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=model, focus=focus))


def file(graphs: GraphsServicer, model_id: str, path: str) -> graph_pb2.ViewerFile:
    return graphs.GetViewerFile(graph_pb2.GetViewerFileRequest(model_id=model_id, path=path))


def test_a_model_is_drawn_without_its_weights_and_told_in_numbers(graphs: GraphsServicer) -> None:
    graph = draw(graphs, "resnet18")
    assert graph.title == "resnet18"
    assert graph.page == f"/viz/{graph.model_id}/"
    assert graph.method == "export"
    assert (graph.top_level_nodes, graph.operators) == (11, 69)
    assert graph.parameters == graph.trainable_parameters == 11_689_512
    assert graph.document_bytes == len(file(graphs, graph.model_id, "model.onnx").data)
    assert graph.seconds > 0


def test_a_drawing_is_kept_in_memory_and_in_the_store(graphs: GraphsServicer, store: Store) -> None:
    first = draw(graphs, "squeezenet1_1")
    for servicer in (graphs, GraphsServicer(store)):
        again = draw(servicer, "squeezenet1_1")
        assert again.seconds == 0
        again.seconds = first.seconds
        assert again == first


def test_a_focus_is_part_of_the_page_and_must_exist(graphs: GraphsServicer) -> None:
    graph = draw(graphs, "squeezenet1_1", "features.3.squeeze")
    assert graph.page.endswith("/?focus=features.3.squeeze")
    with pytest.raises(UnknownModule, match=r"features\.3\.squeeze"):
        draw(graphs, "squeezenet1_1", "features.3.squeez")


def test_a_detection_model_draws_by_a_watched_forward(graphs: GraphsServicer) -> None:
    graph = draw(graphs, "ssdlite320_mobilenet_v3_large@none")
    assert graph.method == "modules"
    model = ModelProto()
    model.ParseFromString(file(graphs, graph.model_id, "model.onnx").data)
    names = [node.name for node in model.graph.node]
    assert names[:4] == ["transform", "backbone", "head", "anchor_generator"]
    outputs = {value.name for value in model.graph.output}
    assert outputs == {"output[0].boxes", "output[0].scores", "output[0].labels"}


def test_only_the_viewers_files_are_handed_out(graphs: GraphsServicer) -> None:
    graph = draw(graphs, "squeezenet1_1")
    for path in ("index.html", "../netgraft.db", "model.onnx/", "view.js", ".", "/etc/passwd"):
        with pytest.raises(NotFound):
            file(graphs, graph.model_id, path)
        with pytest.raises(NotFound):
            file(graphs, "static", path)
    with pytest.raises(UnknownModel):
        file(graphs, "0" * 64, "")


def test_a_document_is_drawn_when_it_is_asked_for_first(
    graphs: GraphsServicer, store: Store
) -> None:
    recipe = resolve("squeezenet1_1", "none", store).recipe
    data = file(graphs, recipe.id, "model.onnx").data
    assert data == Drawings(store).draw(recipe).document
    model = ModelProto()
    model.ParseFromString(data)
    assert_connected(model)


def test_the_graph_as_json_has_the_same_modules(graphs: GraphsServicer, store: Store) -> None:
    recipe = resolve("squeezenet1_1", "none", store).recipe
    document = json.loads(file(graphs, recipe.id, "model.json").data)
    assert document["class"] == "SqueezeNet"
    features = document["nodes"][0]
    assert features["module"] == "features"
    fire = next(node for node in features["nodes"] if node["module"] == "features.3")
    assert (fire["class"], fire["parameters"]) == ("Fire", 11408)
    assert Drawings(store).hierarchy(recipe) == file(graphs, recipe.id, "model.json").data


def test_two_models_are_compared_by_reference(graphs: GraphsServicer) -> None:
    found = graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a="resnet18", b="resnet34"))
    assert (found.a_parameters, found.b_parameters) == (11_689_512, 21_797_672)
    kinds = {item.kind for item in found.differences}
    assert kinds == {graph_pb2.ModuleDifference.KIND_ADDED}
    gained = sum(item.parameters_after - item.parameters_before for item in found.differences)
    assert gained == found.b_parameters - found.a_parameters


def test_differences_are_said_in_the_language_of_the_caller(
    graphs: GraphsServicer, store: Store
) -> None:
    base = resolve("resnet18", "none", store).recipe
    edited = base.with_edit(Freeze(("conv1",), False)).with_edit(SetLoss("focal"))
    put_recipe(store, edited)
    request = graph_pb2.CompareGraphsRequest(a=base.id, b=edited.id)
    said = {}
    for language in ("zh", "en"):
        speak(language)
        said[language] = [
            (each.before, each.after) for each in graphs.CompareGraphs(request).differences
        ]
    assert said["en"] == [("loss of the task", "loss focal"), ("trainable", "frozen")]
    assert said["zh"] == [("任务默认的损失", "损失 focal"), ("可训练", "冻结")]


def test_a_drawing_belongs_to_its_recipe_alone(store: Store) -> None:
    kept = Drawings(store)
    recipe = resolve("squeezenet1_1", "none", store).recipe
    other = Recipe(type(recipe.base)(recipe.base.source, recipe.base.name, None, seed=1))
    kept.draw(recipe)
    assert kept.find(other) is None
