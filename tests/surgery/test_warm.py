"""Warm starts: classes that the model knows keep their weights in the new head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraft.errors import InvalidValue, NetgraftError, UnknownClass
from netgraft.models.build import build
from netgraft.models.edits.retarget import Retarget
from netgraft.models.edits.tuned import Tuned
from netgraft.models.fetch import torch_hub
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.serving.servicers import speak
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2

MODEL = "mobilenet_v2@IMAGENET1K_V1"
TABBY, RED_FOX, BEAGLE = 281, 277, 162
"""Places of ImageNet's classes."""


@pytest.fixture(scope="module")
def surgery(common_store: Store) -> SurgeryServicer:
    return SurgeryServicer(common_store)


@pytest.fixture
def pretrained(torch_home_with_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))


def retarget(
    surgery: SurgeryServicer, model: str, names: Sequence[str], **more: Any
) -> surgery_pb2.EditReply:
    request = surgery_pb2.RetargetModelRequest(model=model, class_names=names, **more)
    return surgery.RetargetModel(request)


def kept(reply: surgery_pb2.EditReply) -> dict[str, str]:
    return {each.name: each.old_name for each in reply.kept_classes}


def module(surgery: SurgeryServicer, reply: surgery_pb2.EditReply) -> nn.Module:
    return build(get_recipe(surgery.store, reply.model.id), surgery.store).eval()


def head_of(surgery: SurgeryServicer, reply: surgery_pb2.EditReply) -> nn.Linear:
    layer = module(surgery, reply).get_submodule("classifier.1")
    assert isinstance(layer, nn.Linear)
    return layer


def official() -> dict[str, Tensor]:
    file = torch_hub.local_file("https://example.org/mobilenet_v2-b0353104.pth")
    return torch_hub.read(file, MODEL)


@pytest.mark.usefixtures("pretrained")
def test_classes_of_the_same_name_answer_as_before(surgery: SurgeryServicer) -> None:
    reply = retarget(surgery, MODEL, ("tabby", "unicorn", "Beagle"))
    assert kept(reply) == {"tabby": "tabby", "Beagle": "beagle"}
    assert "2 of 3 classes keep their weights (tabby, Beagle)" in reply.summary
    old, new = get_recipe(surgery.store, reply.model.parent_id), module(surgery, reply)
    x = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before, after = build(old, surgery.store).eval()(x), new(x)
    assert torch.allclose(after[:, [0, 2]], before[:, [TABBY, BEAGLE]], atol=1e-5)
    head, state = new.get_submodule("classifier.1"), official()
    assert isinstance(head, nn.Linear)
    for value, name in ((head.weight, "weight"), (head.bias, "bias")):
        assert torch.equal(value[[0, 2]], state[f"classifier.1.{name}"][[TABBY, BEAGLE]])
    assert reply.stored_bytes < 2**16


@pytest.mark.usefixtures("pretrained")
@pytest.mark.parametrize(
    "name", ["TABBY ", "tabby cat", "tabby, tabby cat", "Red_Fox", "vulpes vulpes"]
)
def test_a_class_is_known_in_any_case_and_by_imagenets_synonyms(
    name: str, surgery: SurgeryServicer
) -> None:
    place = TABBY if "tabby" in name.lower() else RED_FOX
    head = head_of(surgery, retarget(surgery, MODEL, (name, "unicorn")))
    assert torch.equal(head.weight[0], official()["classifier.1.weight"][place])


@pytest.mark.usefixtures("pretrained")
def test_a_name_of_two_classes_keeps_neither_and_says_so(surgery: SurgeryServicer) -> None:
    reply = retarget(surgery, MODEL, ("cardigan", "tabby"))
    assert kept(reply) == {"tabby": "tabby"}
    assert "start again: cardigan" in reply.summary


@pytest.mark.usefixtures("pretrained")
@pytest.mark.parametrize("old", ["red_fox", "#277", "Red fox"])
def test_a_map_says_which_weights_a_new_name_takes(old: str, surgery: SurgeryServicer) -> None:
    reply = retarget(surgery, MODEL, ("tabby", "fox"), class_map={"fox": old})
    assert kept(reply) == {"tabby": "tabby", "fox": "red fox"}
    assert "fox from red fox" in reply.summary
    head = head_of(surgery, reply)
    assert torch.equal(head.weight, official()["classifier.1.weight"][[TABBY, RED_FOX]])


@pytest.mark.usefixtures("pretrained")
def test_an_unknown_old_name_is_refused_with_the_nearest(surgery: SurgeryServicer) -> None:
    with pytest.raises(UnknownClass, match="Nearest: ") as caught:
        retarget(surgery, MODEL, ("cat", "dog"), class_map={"cat": "lin"})
    assert "lion" in str(caught.value.values["nearest"])
    assert len(str(caught.value.values["nearest"]).split(", ")) == 3
    assert "#999" in caught.value.sentence("zh")


@pytest.mark.usefixtures("pretrained")
@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"class_map": {"wolf": "red fox"}}, InvalidValue),
        ({"class_map": {"cat": "#1000"}}, UnknownClass),
        ({"class_map": {"cat": "#-1"}}, UnknownClass),
        ({"class_map": {"cat": ""}}, UnknownClass),
        ({"class_map": {"cat": "cardigan"}}, InvalidValue),
        ({"class_map": {"cat": "tabby"}, "init": "fresh"}, InvalidValue),
        ({"init": "ones"}, InvalidValue),
    ],
)
def test_what_makes_no_sense_is_refused_and_stores_nothing(
    more: dict[str, Any], error: type[NetgraftError], surgery: SurgeryServicer
) -> None:
    before = surgery.store.names("tensors")
    with pytest.raises(error):
        retarget(surgery, MODEL, ("cat", "dog"), **more)
    assert surgery.store.names("tensors") == before


@pytest.mark.usefixtures("pretrained")
def test_zeros_fill_the_other_rows_and_fresh_keeps_none(surgery: SurgeryServicer) -> None:
    zeros = head_of(surgery, retarget(surgery, MODEL, ("unicorn", "tabby"), init="zeros"))
    assert not zeros.weight[0].any()
    assert not zeros.bias[0].any()
    assert torch.equal(zeros.weight[1], official()["classifier.1.weight"][TABBY])
    reply = retarget(surgery, MODEL, ("unicorn", "tabby"), init="fresh")
    assert not reply.kept_classes
    fresh = head_of(surgery, reply)
    assert fresh.weight.all()
    assert not torch.equal(fresh.weight[1], zeros.weight[1])


@pytest.mark.usefixtures("pretrained")
def test_the_same_edit_is_the_same_model_and_undo_gives_the_parent(
    surgery: SurgeryServicer,
) -> None:
    first = retarget(surgery, MODEL, ("tabby", "fox"), class_map={"fox": "red fox"})
    again = retarget(surgery, MODEL, ("tabby", "fox"), class_map={"fox": "#277"})
    other = retarget(surgery, MODEL, ("tabby", "fox"))
    assert first.model.id == again.model.id != other.model.id
    back = surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=first.model.id))
    assert back.model.id == first.model.parent_id
    stored = get_recipe(surgery.store, first.model.id)
    assert Recipe.from_json(stored.canonical()) == stored


@pytest.mark.usefixtures("pretrained")
def test_a_class_is_added_to_a_model_that_was_retargeted_before(surgery: SurgeryServicer) -> None:
    first = retarget(surgery, MODEL, ("tabby", "dog"))
    second = retarget(surgery, first.model.id, ("dog", "fox", "TABBY"))
    assert kept(second) == {"dog": "dog", "TABBY": "tabby"}
    old, new = head_of(surgery, first), head_of(surgery, second)
    assert torch.equal(new.weight[[0, 2]], old.weight[[1, 0]])
    assert torch.equal(new.bias[[0, 2]], old.bias[[1, 0]])


def test_random_weights_are_not_worth_keeping_and_it_is_said(surgery: SurgeryServicer) -> None:
    reply = retarget(surgery, "mobilenet_v2@none", ("tabby", "beagle"))
    assert not reply.kept_classes
    assert "No class keeps its weights: those of the model are random" in reply.summary
    speak("zh")
    try:
        shown = retarget(surgery, "mobilenet_v2@none", ("tabby", "beagle")).summary
    finally:
        speak("en")
    assert "没有类别保留权重" in shown


@pytest.mark.usefixtures("pretrained")
def test_a_count_alone_says_nothing_of_classes(surgery: SurgeryServicer) -> None:
    request = surgery_pb2.RetargetModelRequest(model=MODEL, classes=3)
    assert surgery.RetargetModel(request).summary.endswith("→ Linear(1280 → 3).")


def test_a_users_file_keeps_classes_by_their_places(
    surgery: SurgeryServicer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    from netgraft.settings import settings

    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    net = timm.create_model("test_resnet", num_classes=4)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    unnamed = retarget(surgery, str(tmp_path / "net.pth"), ("cat", "dog"))
    assert "the names of the model's classes are not known" in unnamed.summary
    reply = retarget(
        surgery, str(tmp_path / "net.pth"), ("cat", "dog", "fox"), class_map={"dog": "#3"}
    )
    settings.cache_clear()
    assert kept(reply) == {"dog": "#3"}
    layer = module(surgery, reply).get_submodule("fc")
    assert isinstance(layer, nn.Linear)
    assert torch.equal(layer.weight[1], net.get_submodule("fc").weight[3])  # type: ignore[index]


# Detectors: the background stays, and so does every anchor's row


def tuned(surgery: SurgeryServicer, name: str, names: Sequence[str]) -> Recipe:
    """A detector with random weights whose heads a job has trained, as the store sees it."""
    store: Store = surgery.store
    recipe = Recipe(Base("torchvision", name, None))
    put_recipe(store, recipe)
    reply = retarget(surgery, recipe.id, names)
    edited = get_recipe(store, reply.model.id)
    edit = edited.edits[-1]
    assert isinstance(edit, Retarget)
    assert edit.draw is not None
    generator = torch.Generator().manual_seed(1)
    values = {
        tensor.name: torch.randn(tensor.shape, generator=generator) for tensor in edit.draw.tensors
    }
    trained = edited.with_edit(Tuned("job", store.put_tensors(values)))
    put_recipe(store, trained)
    return trained


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "retinanet_resnet50_fpn"])
def test_every_anchor_scores_the_kept_classes_as_before(
    name: str, surgery: SurgeryServicer
) -> None:
    before = tuned(surgery, name, ("person", "car", "dog"))
    reply = retarget(surgery, before.id, ("dog", "fox", "Person", "owl"))
    assert kept(reply) == {"dog": "dog", "Person": "person"}
    old, new = build(before, surgery.store).eval(), module(surgery, reply)
    with torch.no_grad():
        features = list(old.get_submodule("backbone")(torch.rand(1, 3, 64, 64)).values())
        scores, after = (m.get_submodule("head")(features)["cls_logits"] for m in (old, new))
    assert torch.allclose(after[..., [0, 1, 3]], scores[..., [0, 3, 1]], rtol=1e-4, atol=1e-4)


def test_scores_and_boxes_of_kept_classes_are_as_before(surgery: SurgeryServicer) -> None:
    before = tuned(surgery, "fasterrcnn_mobilenet_v3_large_320_fpn", ("person", "car", "dog"))
    reply = retarget(surgery, before.id, ("dog", "fox", "person", "owl"))
    old, new = (
        model.get_submodule("roi_heads.box_predictor")
        for model in (build(before, surgery.store).eval(), module(surgery, reply))
    )
    x = torch.rand(5, 1024)
    with torch.no_grad():
        (scores, boxes), (scores_now, boxes_now) = old(x), new(x)
    assert torch.allclose(scores_now[:, [0, 1, 3]], scores[:, [0, 3, 1]], atol=1e-4)
    boxes, boxes_now = boxes.view(5, 4, 4), boxes_now.view(5, 5, 4)
    assert torch.allclose(boxes_now[:, [0, 1, 3]], boxes[:, [0, 3, 1]], atol=1e-4)
