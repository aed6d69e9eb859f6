"""Another layer in a module's place: what it makes, and what it refuses."""

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch
from google.protobuf import json_format
from google.protobuf.struct_pb2 import Value
from torch import Tensor, nn

from netgraft.errors import EditFailed, InvalidValue, NetgraftError, TooLarge, UnknownModule
from netgraft.models import drawn
from netgraft.models.build import build
from netgraft.models.export.export import file_name, write
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.serving.servicers import speak
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

MODEL = "timm/test_resnet@none"


def replaced(
    surgery: SurgeryServicer, path: str, kind: str, model: str = MODEL, **arguments: Any
) -> surgery_pb2.EditReply:
    given = {name: json_format.ParseDict(value, Value()) for name, value in arguments.items()}
    request = surgery_pb2.ReplaceModuleRequest(model=model, path=path, type=kind, arguments=given)
    return surgery.ReplaceModule(request)


def recipe_of(surgery: SurgeryServicer, reply: surgery_pb2.EditReply) -> Recipe:
    return get_recipe(surgery.store, reply.model.id)


def test_an_activation_is_replaced_and_nothing_is_stored_for_it(surgery: SurgeryServicer) -> None:
    reply = replaced(surgery, "layer1.0.act1", "GELU", approximate="tanh")
    assert reply.summary == "layer1.0.act1: ReLU → GELU(approximate='tanh')."
    assert (reply.stored_bytes, reply.parameters_before) == (0, reply.parameters_after)
    recipe = recipe_of(surgery, reply)
    model, parent = build(recipe, surgery.store).eval(), build(recipe.parent, surgery.store).eval()
    assert isinstance(model.get_submodule("layer1.0.act1"), nn.GELU)
    x = torch.rand(2, 3, 160, 160)
    parent.set_submodule("layer1.0.act1", nn.GELU(approximate="tanh"))
    assert torch.equal(model(x), parent(x))


def test_a_norm_is_replaced_and_its_parameters_are_a_formula(surgery: SurgeryServicer) -> None:
    reply = replaced(surgery, "bn1", "GroupNorm", "resnet18@none", num_groups=8, num_channels=64)
    assert "bn1: BatchNorm2d → GroupNorm(num_channels=64, num_groups=8)" in reply.summary
    assert reply.stored_bytes == 0
    model = build(recipe_of(surgery, reply), surgery.store).eval()
    norm = model.get_submodule("bn1")
    assert isinstance(norm, nn.GroupNorm)
    assert torch.equal(norm.weight, torch.ones(64))
    assert model(torch.rand(1, 3, 64, 64)).isfinite().all()


def test_the_same_replacement_is_the_same_model(surgery: SurgeryServicer) -> None:
    parent = surgery.RetargetModel(
        surgery_pb2.RetargetModelRequest(model=MODEL, classes=7)
    ).model.id
    size = build(get_recipe(surgery.store, parent), surgery.store).get_submodule("fc")
    assert isinstance(size, nn.Linear)
    options = {"in_features": size.in_features, "out_features": 7, "bias": False}
    first, again = (replaced(surgery, "fc", "Linear", parent, **options) for _ in range(2))
    assert first.model.id == again.model.id
    assert first.parameters_after == first.parameters_before - 7
    recipe = recipe_of(surgery, first)
    assert Recipe.from_json(recipe.canonical()) == recipe
    back = surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=first.model.id))
    assert (back.model.id, back.stored_bytes) == (parent, 0)
    later = surgery.RetargetModel(surgery_pb2.RetargetModelRequest(model=first.model.id, classes=3))
    assert build(recipe_of(surgery, later), surgery.store)(torch.rand(2, 3, 64, 64)).shape == (2, 3)


@pytest.mark.parametrize(
    ("path", "kind", "arguments", "problem"),
    [
        ("fc", "Identity", {}, r"output logits changes from 2×1000 to 2×\d+"),
        ("global_pool", "Identity", {}, "does not run|changes from"),
        ("layer1.0.act1", "Conv2d", {"in_channels": 3, "out_channels": 3, "kernel_size": 1}, "run"),
        ("layer1.0.act1", "LayerNorm", {"normalized_shape": 7}, "cannot normalise"),
        ("layer1.0.act1", "BatchNorm2d", {"num_features": 7}, "does not run"),
        ("layer1.0.act1", "GroupNorm", {"num_groups": 3}, "num_channels"),
        ("layer1.0.act1", "Dropout", {"p": 7}, "between 0 and 1"),
        ("layer1.0.act1", "GELU", {"approximate": "wild"}, "approximate"),
    ],
)
def test_what_would_break_the_model_is_refused_and_nothing_is_stored(
    path: str, kind: str, arguments: dict[str, Any], problem: str, surgery: SurgeryServicer
) -> None:
    with pytest.raises(EditFailed, match=problem) as caught:
        replaced(surgery, path, kind, **arguments)
    assert "nothing was changed" in caught.value.sentence()
    assert "模型未被改动" in caught.value.sentence("zh")
    assert not Path(surgery.store.root, "tensors").exists()


@pytest.mark.parametrize(
    ("path", "kind", "arguments", "error"),
    [
        ("layer9", "GELU", {}, UnknownModule),
        ("", "GELU", {}, UnknownModule),
        ("layer1.0.act1", "GELo", {}, InvalidValue),
        ("layer1.0.act1", "Module", {}, InvalidValue),
        ("layer1.0.act1", "Sequential", {}, InvalidValue),
        ("layer1.0.act1", "Transformer", {}, InvalidValue),
        ("layer1.0.act1", "LazyLinear", {"out_features": 8}, InvalidValue),
        ("layer1.0.act1", "functional", {}, InvalidValue),
        ("layer1.0.act1", "__loader__", {}, InvalidValue),
        ("layer1.0.act1", "GELU", {"device": "cuda"}, InvalidValue),
        ("layer1.0.act1", "Identity", {"anything": 1}, InvalidValue),
        ("layer1.0.act1", "LayerNorm", {"normalized_shape": [8, 8]}, InvalidValue),
        ("layer1.0.act1", "ELU", {"alpha": {"a": 1}}, InvalidValue),
    ],
)
def test_bad_input_is_refused_with_its_reason(
    path: str,
    kind: str,
    arguments: dict[str, Any],
    error: type[NetgraftError],
    surgery: SurgeryServicer,
) -> None:
    with pytest.raises(error):
        replaced(surgery, path, kind, **arguments)


def test_numbers_that_are_not_finite_are_refused(surgery: SurgeryServicer) -> None:
    request = surgery_pb2.ReplaceModuleRequest(model=MODEL, path="layer1.0.act1", type="ELU")
    request.arguments["alpha"].number_value = float("nan")
    with pytest.raises(InvalidValue, match="finite"):
        surgery.ReplaceModule(request)


def test_a_layer_larger_than_memory_is_refused(
    surgery: SurgeryServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn, "COPIES", 2**40)
    with pytest.raises(TooLarge):
        replaced(surgery, "layer1.0.act1", "PReLU")


def test_it_is_said_in_chinese_to_who_reads_it(surgery: SurgeryServicer) -> None:
    speak("zh")
    try:
        shown = replaced(surgery, "layer1.0.act1", "PReLU").summary
    finally:
        speak("en")
    assert shown == "layer1.0.act1: ReLU → PReLU()；其权重重新初始化。"


def test_the_exported_code_rebuilds_the_replaced_model(
    surgery: SurgeryServicer, tmp_path: Path
) -> None:
    first = replaced(surgery, "layer1.0.act1", "PReLU", init=0.3)
    reply = replaced(surgery, "layer1.0.act2", "Softplus", first.model.id, beta=2)
    recipe = recipe_of(surgery, reply)
    write(recipe, surgery.store, "python", tmp_path / "model.py")
    write(recipe, surgery.store, "state_dict", tmp_path / file_name(recipe, "state_dict"))
    scope = runpy.run_path(str(tmp_path / "model.py"))  # what a user would run
    x: Tensor = torch.rand(1, 3, 64, 64)
    assert torch.equal(scope["model"](x), build(recipe, surgery.store).eval()(x))
