"""Dropout before the heads: where it goes, and all that it leaves as it was."""

import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.errors import EditFailed, InvalidValue
from netgraft.models.build import build
from netgraft.models.edits.dropout import Dropout
from netgraft.models.export.export import file_name, write
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

SMALL = "timm/test_resnet@none"


def dropped(surgery: SurgeryServicer, p: float, model: str = SMALL) -> surgery_pb2.EditReply:
    return surgery.SetDropout(surgery_pb2.SetDropoutRequest(model=model, p=p))


def recipe_of(surgery: SurgeryServicer, reply: surgery_pb2.EditReply) -> Recipe:
    return get_recipe(surgery.store, reply.model.id)


def edit_of(surgery: SurgeryServicer, reply: surgery_pb2.EditReply) -> Dropout:
    edit = recipe_of(surgery, reply).edits[-1]
    assert isinstance(edit, Dropout)
    return edit


def test_the_head_drops_what_it_reads_and_keeps_its_names(surgery: SurgeryServicer) -> None:
    reply = dropped(surgery, 0.4)
    assert reply.summary == "Dropout(0.4) before fc."
    recipe = recipe_of(surgery, reply)
    old, new = (build(each, surgery.store) for each in (recipe.parent, recipe))
    assert list(old.state_dict()) == list(new.state_dict())
    assert reply.parameters_before == reply.parameters_after
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(old.eval()(x), new.eval()(x))
    head = new.train().get_submodule("fc")
    assert isinstance(head, nn.Linear)
    with torch.no_grad():
        head.weight.fill_(1.0)
        head.bias.zero_()
    read = head(torch.ones(200, head.in_features))[:, 0]
    assert abs(read.mean().item() / head.in_features - 1) < 0.1  # what stays is scaled up
    assert read.std() > 0


@pytest.mark.parametrize(
    ("model", "layers", "dropouts"),
    [
        ("mobilenet_v2", (), ("classifier.0",)),
        ("timm/vit_tiny_patch16_224", (), ("head_drop",)),
        ("inception_v3", ("AuxLogits.fc",), ("dropout",)),
        ("squeezenet1_1", (), ("classifier.0",)),
        ("deeplabv3_mobilenet_v3_large", ("classifier.4",), ()),
        ("timm/deit_tiny_distilled_patch16_224", (), ("head_drop",)),
        ("r3d_18", ("fc",), ()),
        ("retinanet_resnet50_fpn", ("head.classification_head.cls_logits",), ()),
    ],
)
def test_a_dropout_that_stands_there_already_is_set_and_not_doubled(
    model: str, layers: tuple[str, ...], dropouts: tuple[str, ...], surgery: SurgeryServicer
) -> None:
    edit = edit_of(surgery, dropped(surgery, 0.3, f"{model}@none"))
    assert (edit.layers, edit.dropouts) == (layers, dropouts)


def test_setting_it_again_replaces_it_and_undoing_removes_it(surgery: SurgeryServicer) -> None:
    first = dropped(surgery, 0.4)
    assert dropped(surgery, 0.4).model.id == first.model.id
    second = dropped(surgery, 0.1, first.model.id)
    model = build(recipe_of(surgery, second), surgery.store)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.1]
    back = surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=second.model.id))
    assert back.model.id == first.model.id
    recipe = recipe_of(surgery, second)
    assert Recipe.from_json(recipe.canonical()) == recipe


def test_a_later_retarget_keeps_the_dropout(surgery: SurgeryServicer) -> None:
    request = surgery_pb2.RetargetModelRequest(model=dropped(surgery, 0.4).model.id, classes=5)
    model = build(recipe_of(surgery, surgery.RetargetModel(request)), surgery.store)
    assert model.eval()(torch.rand(2, 3, 64, 64)).shape == (2, 5)
    assert [m.p for m in model.modules() if isinstance(m, nn.Dropout)] == [0.4]


@pytest.mark.parametrize("p", [-0.1, 1.0, 7.0, float("nan"), float("inf")])
def test_what_is_no_probability_is_refused(p: float, surgery: SurgeryServicer) -> None:
    with pytest.raises(InvalidValue, match="probability"):
        dropped(surgery, p)


def test_a_model_without_classes_has_no_place_for_it(surgery: SurgeryServicer) -> None:
    with pytest.raises(EditFailed, match="tells classes apart"):
        dropped(surgery, 0.3, "raft_small@none")


@pytest.mark.parametrize("model", [SMALL, "timm/test_vit@none"])
def test_every_export_takes_the_model_and_the_code_rebuilds_it(
    model: str, surgery: SurgeryServicer, tmp_path: Path
) -> None:
    first = dropped(surgery, 0.4, model)
    recipe = recipe_of(surgery, dropped(surgery, 0.2, first.model.id))
    weights = file_name(recipe, "state_dict")
    for kind, file in (("python", "model.py"), ("state_dict", weights), ("pt2", "model.pt2")):
        write(recipe, surgery.store, kind, tmp_path / file)
    write(recipe, surgery.store, "torchscript", tmp_path / "model.pt")
    scope = runpy.run_path(str(tmp_path / "model.py"))
    rebuilt, own = scope["model"], build(recipe, surgery.store).eval()
    # The vision transformer has others, which are at 0.
    assert [m.p for m in rebuilt.modules() if isinstance(m, nn.Dropout) and m.p] == [0.2]
    assert list(rebuilt.state_dict()) == list(own.state_dict())
    x = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        wanted = own(x)
        assert torch.equal(rebuilt(x), wanted)
        program = torch.export.load(tmp_path / "model.pt2").module()
        assert torch.allclose(program(x), wanted, atol=1e-5)
        assert torch.allclose(torch.jit.load(tmp_path / "model.pt")(x), wanted, atol=1e-5)
