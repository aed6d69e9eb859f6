"""LoRA: the backbone keeps its weights and learns beside them; taken away, the model is plain."""

import importlib.util
import runpy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from netgraft.anatomy.heads import tensors_in
from netgraft.errors import EditFailed, InvalidValue, NetgraftError, PackageMissing, UnknownModule
from netgraft.graph.servicer import GraphsServicer
from netgraft.models.bases import example_inputs
from netgraft.models.build import build
from netgraft.models.edits.lora import Lora
from netgraft.models.edits.tuned import Tuned
from netgraft.models.export.export import file_name, write
from netgraft.models.layers.adapters import merge_adapters
from netgraft.models.losses.catalogue import make_loss
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig
from netgraft.v1 import graph_pb2, surgery_pb2

SMALL = "timm/test_vit@none"


def adapted(surgery: SurgeryServicer, model: str = SMALL, **said: object) -> Recipe:
    request = surgery_pb2.AddLoraRequest(model=model, **said)  # type: ignore[arg-type]
    return get_recipe(surgery.store, surgery.AddLora(request).model.id)


def layers(recipe: Recipe) -> Sequence[str]:
    edit = recipe.edits[-1]
    assert isinstance(edit, Lora)
    return edit.layers


def outputs(module: nn.Module, recipe: Recipe) -> list[Tensor]:
    torch.manual_seed(0)
    inputs = tuple(torch.rand_like(x) for x in example_inputs(recipe.base, 2, "cpu"))
    with torch.no_grad():
        return [tensor for _, tensor in tensors_in(module.eval()(*inputs))]


REPEATS = tuple(
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("resnet18", "convnext_tiny", "deeplabv3_mobilenet_v3_large")
)
"""What they are made of is in mobilenet_v2, swin_t and lraspp, too."""


@pytest.mark.parametrize(
    "model",
    ["mobilenet_v2", "swin_t", "vit_b_16", "timm/test_vit", "lraspp_mobilenet_v3_large",
     "googlenet", *REPEATS],
)  # fmt: skip
def test_a_model_with_new_adapters_answers_as_before_to_the_bit(
    model: str, surgery: SurgeryServicer
) -> None:
    recipe = adapted(surgery, f"{model}@none")
    module, plain = build(recipe, surgery.store), build(recipe.parent, surgery.store)
    for now, before in zip(outputs(module, recipe), outputs(plain, recipe), strict=True):
        assert torch.equal(now, before)
    heads = tuple(f"{head}." for head in recipe.edits[-1].trained)  # type: ignore[attr-defined]
    assert heads
    for name, parameter in module.named_parameters():
        assert parameter.requires_grad == (".lora_" in name or name.startswith(heads)), name


def test_the_same_adapters_are_the_same_model_in_another_store(
    surgery: SurgeryServicer, tmp_path: Path
) -> None:
    other = SurgeryServicer(Store(str(tmp_path / "other"), f"sqlite:///{tmp_path / 'other.db'}"))
    assert adapted(surgery).id == adapted(other).id
    assert adapted(surgery, rank=4).id != adapted(surgery, rank=5).id
    other.store.engine.dispose()


def test_one_says_which_layers_of_which_rank(surgery: SurgeryServicer) -> None:
    recipe = adapted(surgery, targets=["blocks.*.attn.qkv", "blocks.0.mlp"], rank=4, alpha=2)
    assert all(
        path.endswith("attn.qkv") or path.startswith("blocks.0.mlp.") for path in layers(recipe)
    )
    assert "blocks.0.mlp.fc1" in layers(recipe)
    module = build(recipe, surgery.store)
    ranks = {len(p) for name, p in module.named_parameters() if ".lora_A." in name}
    assert ranks == {4}
    assert all(type(module.get_submodule(path)) is not nn.Linear for path in layers(recipe))


def test_training_moves_the_adapters_and_the_head_and_nothing_else(
    surgery: SurgeryServicer,
) -> None:
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=3)
    recipe = adapted(surgery, surgery.RetargetModel(request).model.id)
    learner = learned(recipe, surgery.store)
    before, after = build(recipe, surgery.store).state_dict(), learner.module.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    head, adapters = {"fc.weight", "fc.bias"}, {name for name in before if ".lora_" in name}
    assert head <= changed <= head | adapters
    assert len(changed & adapters) >= 10  # others stand behind a batch norm that starts at 0


def learned(recipe: Recipe, store: Store) -> Learner:
    learner = Learner(
        build(recipe, store),
        TASK,
        make_loss("cross_entropy"),
        StepConfig(Schedule(0.05, 0, 4), optimizer="sgd"),
        device=torch.device("cpu"),
    )
    torch.manual_seed(1)
    for _ in range(4):
        learner.step((torch.rand(4, 3, 64, 64), torch.arange(4) % 3))
    return learner


def test_taken_away_the_tuned_model_is_plain_and_computes_the_same(
    surgery: SurgeryServicer, tmp_path: Path
) -> None:
    store = surgery.store
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=3)
    recipe = adapted(surgery, surgery.RetargetModel(request).model.id)
    state = learned(recipe, store).module.state_dict()
    moved = {name: v for name, v in state.items() if ".lora_" in name or name.startswith("fc.")}
    tuned = recipe.with_edit(Tuned("job", store.put_tensors(moved)))
    put_recipe(store, tuned)
    x = torch.rand(2, 3, 160, 160)
    with torch.no_grad():
        wanted = build(tuned, store).eval()(x)
        assert not torch.allclose(wanted, build(recipe, store).eval()(x), atol=1e-3)
    for kind in ("state_dict", "safetensors", "python", "onnx", "pt2", "torchscript"):
        write(tuned, store, kind, tmp_path / file_name(tuned, kind))
    plain = timm.create_model("test_resnet", num_classes=3).eval()
    plain.load_state_dict(load_file(tmp_path / file_name(tuned, "safetensors")))
    rebuilt = runpy.run_path(str(tmp_path / file_name(tuned, "python")))["model"]
    program = torch.export.load(tmp_path / file_name(tuned, "pt2")).module()
    script = torch.jit.load(tmp_path / file_name(tuned, "torchscript"))
    session = onnxruntime.InferenceSession(tmp_path / file_name(tuned, "onnx"))
    with torch.no_grad():
        assert torch.equal(rebuilt(x), wanted), "the code keeps the adapters"
        for model in (plain, program, script):
            assert torch.allclose(model(x), wanted, atol=1e-4)
        (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(found, wanted.numpy(), atol=1e-4)


class Odd(nn.Module):
    """Convolutions of every kind, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.dilated = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.circular = nn.Conv2d(8, 8, 3, padding=1, padding_mode="circular")
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.fc = nn.Linear(8, 5)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        x_NCHW = self.grouped(self.circular(self.dilated(self.plain(x_NCHW))))
        return self.fc(x_NCHW.mean(dim=(2, 3)))


def test_only_convolutions_that_an_adapter_repeats_and_merges_with_have_one(
    surgery: SurgeryServicer, tiny: Callable[..., Recipe]
) -> None:
    base = tiny(Odd)
    put_recipe(surgery.store, base)
    recipe = adapted(surgery, base.id)
    assert layers(recipe) == ("plain",)
    module = build(recipe, surgery.store).eval()
    for name, parameter in module.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter)
    x_NCHW = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        wanted = module(x_NCHW)
        assert torch.allclose(merge_adapters(module)(x_NCHW), wanted, atol=1e-5)


def test_a_part_of_an_adapter_cannot_be_replaced_but_the_layer_can(
    surgery: SurgeryServicer, tmp_path: Path
) -> None:
    recipe = adapted(surgery, dropout=0.1)
    layer = "blocks.0.mlp.fc1"
    for part in ("base_layer", "lora_dropout.default", "lora_A.default"):
        with pytest.raises(EditFailed, match=f"replace {layer}"):
            replaced(surgery, recipe, f"{layer}.{part}", "Identity")
    whole = replaced(surgery, recipe, "blocks.0.mlp.act", "Tanh")
    for kind in ("state_dict", "python"):
        write(whole, surgery.store, kind, tmp_path / file_name(whole, kind))
    rebuilt = runpy.run_path(str(tmp_path / file_name(whole, "python")))["model"]
    for found, wanted in zip(
        outputs(rebuilt, whole), outputs(build(whole, surgery.store), whole), strict=True
    ):
        assert torch.equal(found, wanted)
    trains = {name for name, p in build(whole, surgery.store).named_parameters() if p.requires_grad}
    assert {name for name, p in rebuilt.named_parameters() if p.requires_grad} == trains


def replaced(surgery: SurgeryServicer, recipe: Recipe, path: str, kind: str) -> Recipe:
    request = surgery_pb2.ReplaceModuleRequest(model=recipe.id, path=path, type=kind)
    return get_recipe(surgery.store, surgery.ReplaceModule(request).model.id)


def test_other_edits_go_on_from_there_and_undo_gives_the_plain_model(
    surgery: SurgeryServicer,
) -> None:
    recipe = adapted(surgery)
    more = surgery.RetargetModel(surgery_pb2.RetargetModelRequest(model=recipe.id, classes=5))
    assert more.heads[0].after == 5
    freed = surgery.UnfreezeLayers(
        surgery_pb2.UnfreezeLayersRequest(model=more.model.id, layers=["blocks.1"])
    )
    assert freed.trainable_after > freed.trainable_before
    drawn = GraphsServicer(surgery.store).DrawGraph(graph_pb2.DrawGraphRequest(model=recipe.id))
    assert drawn.parameters > 0
    undone = surgery.UndoEdit(surgery_pb2.UndoEditRequest(model=recipe.id)).model
    assert undone.id == recipe.parent.id


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"rank": -1}, InvalidValue),
        ({"rank": 257}, InvalidValue),
        ({"alpha": -1.0}, InvalidValue),
        ({"alpha": float("nan")}, InvalidValue),
        ({"dropout": 1.0}, InvalidValue),
        ({"targets": ["head"]}, EditFailed),
        ({"targets": ["blocks.*.norm1"]}, EditFailed),
        ({"targets": ["blocks.9"]}, UnknownModule),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(
    said: dict[str, object], error: type[NetgraftError], surgery: SurgeryServicer
) -> None:
    with pytest.raises(error):
        adapted(surgery, **said)
    assert not surgery.store.names("tensors")


def test_adapters_are_put_on_once(surgery: SurgeryServicer) -> None:
    with pytest.raises(EditFailed, match="undo"):
        adapted(surgery, adapted(surgery).id)


def test_without_peft_the_error_says_what_to_install(
    surgery: SurgeryServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        "netgraft.models.layers.adapters.find_spec",
        lambda name: None if name == "peft" else found(name),
    )
    with pytest.raises(PackageMissing, match=r"pip install 'netgraft\[lora\]'"):
        adapted(surgery)
