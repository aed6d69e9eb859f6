"""The service as a client sees it, in-process."""

import pkgutil
from pathlib import Path

import pytest
import torch

from netgraft.anatomy import inspection
from netgraft.errors import (
    InvalidClasses,
    InvalidValue,
    NothingToUndo,
    SurgeryFailed,
    UnknownModel,
    UnknownModule,
)
from netgraft.models import edits
from netgraft.models.edits.tuned import Tuned
from netgraft.models.export.card import markdown
from netgraft.models.recipes import get_recipe
from netgraft.serving.servicers import expose, speak
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.v1 import surgery_pb2 as pb


def retargeted(surgery: SurgeryServicer, model: str, classes: int = 100) -> pb.EditReply:
    return surgery.RetargetModel(pb.RetargetModelRequest(model=model, classes=classes))


def test_every_rpc_of_the_contract_is_there() -> None:
    expose(SurgeryServicer, pb.DESCRIPTOR.services_by_name["Surgery"])


def test_retarget_says_what_it_did(surgery: SurgeryServicer) -> None:
    reply = retargeted(surgery, "resnet50")
    assert reply.summary == ("fc: Linear(2048 → 1000) → Linear(2048 → 100).")
    assert (reply.parameters_before, reply.parameters_after) == (25_557_032, 23_712_932)
    assert (reply.trainable_before, reply.trainable_after) == (25_557_032, 23_712_932)
    (head,) = reply.heads
    assert (head.path, head.type, head.in_features) == ("fc", "Linear", 2048)
    assert (head.before, head.after) == (1000, 100)
    assert reply.model.classes == 100


def test_stored_bytes_are_those_on_disk(surgery: SurgeryServicer) -> None:
    reply = retargeted(surgery, "resnet50")
    assert reply.stored_bytes == 0
    assert not (Path(surgery.store.root) / "tensors").exists()
    means = surgery.store.put_tensors({"means": torch.rand(3, 2048), "scale": torch.tensor(2.0)})
    before = set((Path(surgery.store.root) / "tensors").iterdir())
    request = pb.RetargetModelRequest(model="resnet50", classes=3, init="class_means", means=means)
    reply = surgery.RetargetModel(request)
    (file,) = set((Path(surgery.store.root) / "tensors").iterdir()) - before
    assert reply.stored_bytes == file.stat().st_size
    assert 0 <= reply.stored_bytes - 4 * 3 * 2049 <= 4096


def test_the_same_request_gives_the_same_model(surgery: SurgeryServicer) -> None:
    first, second = (retargeted(surgery, "resnet50") for _ in range(2))
    assert first == second


def test_inspect_shows_heads_sizes_and_cost(surgery: SurgeryServicer) -> None:
    seen = surgery.InspectModel(pb.InspectModelRequest(model="resnet50"))
    (head,) = seen.heads
    assert (head.path, head.in_features, head.classes, head.role) == ("fc", 2048, 1000, "main")
    assert (seen.parameters, seen.trainable_parameters) == (25_557_032, 25_557_032)
    assert list(seen.input_shape) == [3, 224, 224]
    assert seen.weight_bytes == 4 * (25_557_032 + 53_120) + 8 * 53  # BatchNorm keeps 53 counters
    assert seen.flops == 2 * 4_089_184_256  # torchvision gives 4.089 G multiply-adds


@pytest.mark.parametrize(
    ("model", "multiply_adds"),
    # The attention of vit_b_16 must be in.
    [("vit_b_16", 17.564e9), ("r3d_18", 40.697e9), ("ssdlite320_mobilenet_v3_large", 0.583e9)],
)
def test_operations_are_those_that_the_library_documents(
    model: str, multiply_adds: float, surgery: SurgeryServicer
) -> None:
    seen = surgery.InspectModel(pb.InspectModelRequest(model=model))
    assert seen.flops == pytest.approx(2 * multiply_adds, rel=0.02)


def test_operations_are_counted_once(
    surgery: SurgeryServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = retargeted(surgery, "timm/test_resnet").model.id
    seen = surgery.InspectModel(pb.InspectModelRequest(model=model))
    monkeypatch.delattr(inspection, "_count")
    frozen = surgery.FreezeLayers(pb.FreezeLayersRequest(model=model, layers=["head"]))
    again = surgery.InspectModel(pb.InspectModelRequest(model=frozen.model.id))
    assert again.flops == seen.flops > 0


def test_a_detector_keeps_its_background(surgery: SurgeryServicer) -> None:
    reply = retargeted(surgery, "fasterrcnn_resnet50_fpn", 10)
    assert {(h.path.split(".")[-1], h.before, h.after) for h in reply.heads} == {
        ("cls_score", 91, 11),
        ("bbox_pred", 364, 44),
    }
    assert "10 classes and the background" in reply.summary
    seen = surgery.InspectModel(pb.InspectModelRequest(model=reply.model.id))
    assert {(h.role, h.classes) for h in seen.heads} == {("main", 11), ("boxes", 11)}


def test_a_layer_behind_a_model_without_a_head_is_said_in_words(
    surgery: SurgeryServicer,
) -> None:
    reply = retargeted(surgery, "timm/samvit_base_patch16", 3)
    assert reply.summary.startswith("model: + Linear(256 → 3)")
    assert reply.parameters_after - reply.parameters_before == 3 * 257


def test_freezing_and_unfreezing_are_said_in_words(surgery: SurgeryServicer) -> None:
    reply = surgery.FreezeLayers(pb.FreezeLayersRequest(model="resnet50", layers=["backbone"]))
    assert reply.summary == (
        "Frozen: backbone. 2,049,000 of 25,557,032 parameters train. "
        "53 frozen batch norms keep their running statistics."
    )
    assert (reply.trainable_before, reply.trainable_after) == (25_557_032, 2_049_000)
    assert reply.stored_bytes == 0
    request = pb.UnfreezeLayersRequest(model=reply.model.id, layers=["layer4", "fc"])
    back = surgery.UnfreezeLayers(request)
    assert back.trainable_after > 2_049_000
    assert back.summary.startswith("Trains again: layer4, fc. ")
    one = surgery.FreezeLayers(pb.FreezeLayersRequest(model="resnet50", layers=["bn1"]))
    assert one.summary.endswith("1 frozen batch norm keeps its running statistics.")
    none = surgery.FreezeLayers(pb.FreezeLayersRequest(model="resnet50", layers=["fc"]))
    assert "batch norm" not in none.summary


def test_edits_are_said_in_chinese_to_who_reads_that(surgery: SurgeryServicer) -> None:
    speak("zh")
    try:
        frozen = surgery.FreezeLayers(pb.FreezeLayersRequest(model="resnet50", layers=["bn1"]))
        loss = surgery.SetLoss(pb.SetLossRequest(model="resnet50", loss="focal"))
        back = surgery.UndoEdit(pb.UndoEditRequest(model=loss.model.id))
        lora = surgery.AddLora(pb.AddLoraRequest(model="resnet18@none", rank=2))
    finally:
        speak("en")
    assert "1 个已冻结的 BatchNorm 保持其统计量" in frozen.summary
    assert frozen.summary.startswith("已冻结：bn1。")
    assert loss.summary == "损失函数：focal（focal 损失，gamma 2：容易的样本权重较小）。"
    assert back.summary == "回到 resnet50。"
    assert "20 个已冻结的 BatchNorm" in lora.summary


def test_the_loss_is_said_in_words(surgery: SurgeryServicer) -> None:
    reply = surgery.SetLoss(pb.SetLossRequest(model="resnet50", loss="focal"))
    assert reply.model.loss == "focal"
    assert reply.summary.startswith("Loss: focal (")


def test_undo_goes_back_one_edit_at_a_time(surgery: SurgeryServicer) -> None:
    first = retargeted(surgery, "resnet50")
    second = surgery.SetLoss(pb.SetLossRequest(model=first.model.id, loss="bce"))
    back = surgery.UndoEdit(pb.UndoEditRequest(model=second.model.id))
    assert back.model.id == first.model.id
    base = surgery.UndoEdit(pb.UndoEditRequest(model=back.model.id))
    assert (base.model.id, base.model.parent_id) == (first.model.parent_id, "")
    assert base.summary == "Back to resnet50."
    with pytest.raises(NothingToUndo):
        surgery.UndoEdit(pb.UndoEditRequest(model=base.model.id))


def test_the_model_card_describes_every_kind_of_edit(surgery: SurgeryServicer) -> None:
    model = retargeted(surgery, "timm/test_resnet@none", 3).model.id
    for request in (
        pb.SetLossRequest(loss="focal"),
        pb.ReplaceModuleRequest(path="act1", type="Tanh"),
        pb.SetDropoutRequest(p=0.25),
        pb.AddLoraRequest(rank=2),
        pb.FreezeLayersRequest(layers=["conv1"]),
    ):
        request.model = model
        rpc = type(request).__name__.removesuffix("Request")
        model = getattr(surgery, rpc)(request).model.id
    recipe = get_recipe(surgery.store, model)
    recipe = recipe.with_edit(Tuned("tune-1", surgery.store.put_tensors({})))
    files = {file.name for file in pkgutil.iter_modules(edits.__path__)} - {"edit"}
    assert {edit.op for edit in recipe.edits} == files
    text = markdown(recipe, surgery.store)
    for line in (
        "2. New head for 3 classes",
        "3. Loss: `focal`",
        "4. `act1` became `Tanh()`",
        "5. Dropout of 0.25 before the head: `fc`",
        "6. LoRA adapters of rank 2 (alpha 4, dropout 0)",
        "7. Froze: `conv1`",
        "8. Tuned by job `tune-1`",
    ):
        assert line in text


def test_bad_requests_are_refused_and_store_no_tensors(surgery: SurgeryServicer) -> None:
    for classes in (0, -5, 10**9, 1_000_001):
        with pytest.raises(InvalidClasses):
            retargeted(surgery, "resnet50", classes)
    with pytest.raises(InvalidValue):
        request = pb.RetargetModelRequest(model="resnet50", class_names=["cat", "cat"])
        surgery.RetargetModel(request)
    with pytest.raises(UnknownModel):
        retargeted(surgery, "resnet500")
    with pytest.raises(SurgeryFailed):
        retargeted(surgery, "raft_small")
    with pytest.raises(UnknownModule):
        surgery.FreezeLayers(pb.FreezeLayersRequest(model="resnet50", layers=["nowhere"]))
    with pytest.raises(InvalidValue):
        surgery.SetLoss(pb.SetLossRequest(model="resnet50", loss="dice"))
    assert not (Path(surgery.store.root) / "tensors").exists()


def test_what_is_no_name_of_anything_is_neither_weighed_nor_repeated_whole(
    surgery: SurgeryServicer,
) -> None:
    endless = "x" * 1_000_000
    asked = pb.FreezeLayersRequest(model="resnet18", layers=[endless])
    with pytest.raises(UnknownModule) as freezing:
        surgery.FreezeLayers(asked)
    with pytest.raises(UnknownModel) as resolving:
        retargeted(surgery, endless)
    for caught in freezing, resolving:
        assert len(caught.value.sentence("en")) < 1000
        assert len(caught.value.sentence("zh")) < 1000


def test_more_layers_than_any_model_has_are_refused(surgery: SurgeryServicer) -> None:
    same = pb.FreezeLayersRequest(model="resnet18", layers=["layer1"] * 20_000)
    assert surgery.FreezeLayers(same).trainable_after > 0
    others = pb.FreezeLayersRequest(model="resnet18", layers=[f"layer1*{n}" for n in range(20_000)])
    with pytest.raises(InvalidValue, match="at most 10,000"):
        surgery.FreezeLayers(others)


def test_the_name_of_a_class_has_a_length(surgery: SurgeryServicer) -> None:
    asked = pb.RetargetModelRequest(model="resnet18", class_names=["a" * 256, "b"])
    assert surgery.RetargetModel(asked).model.classes == 2
    asked.class_names[1] = "b" * 257
    with pytest.raises(InvalidValue, match="at most 256 characters"):
        surgery.RetargetModel(asked)
