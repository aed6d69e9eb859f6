"""Differences of two models: exactly what was changed, reported where it is."""

import torch
import torchvision
from torch import nn

from netgraft.graph.difference import (
    Kind,
    ModuleDifference,
    WeightDifference,
    compare,
    compare_modules,
    describe,
)
from netgraft.models.edits.freeze import Freeze
from netgraft.models.edits.retarget import Retarget
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.layers.heads import Appended
from netgraft.models.recipe import Base, HeadEdit, Recipe
from netgraft.store.store import Store

BASE = Recipe(Base("torchvision", "resnet18", None))
HEAD = HeadEdit("fc", "Linear", 512, 1000, 10)
RETARGETED = BASE.with_edit(Retarget(10, (), (HEAD,), (), "0" * 64))


def test_equal_models_do_not_differ(store: Store) -> None:
    assert compare(BASE, BASE, store).modules == ()


def test_a_retargeted_model_differs_in_its_head_and_nothing_else(store: Store) -> None:
    found = compare(BASE, RETARGETED, store)
    assert found.modules == (
        ModuleDifference(
            "fc",
            Kind.CHANGED,
            "Linear(512 → 1000)",
            "Linear(512 → 10)",
            513_000,
            5_130,
            (
                WeightDifference("weight", "1000×512", "10×512"),
                WeightDifference("bias", "1000", "10"),
            ),
        ),
    )
    assert (found.a_parameters, found.b_parameters) == (11_689_512, 11_181_642)


def test_what_was_frozen_is_told_layer_by_layer(store: Store) -> None:
    frozen = BASE.with_edit(Freeze(("layer1.0",), trainable=False))
    found = compare(BASE, frozen, store).modules
    assert [item.path for item in found] == [
        f"layer1.0.{name}" for name in ("conv1", "bn1", "conv2", "bn2")
    ]
    assert {(item.kind, item.before, item.after) for item in found} == {
        (Kind.TRAINABLE, "trainable", "frozen")
    }


def test_the_loss_belongs_to_the_model_as_a_whole(store: Store) -> None:
    (item,) = compare(BASE, BASE.with_edit(SetLoss("focal")), store).modules
    assert (item.path, item.before, item.after) == ("", "loss of the task", "loss focal")


def test_a_deeper_model_has_more_modules_in_their_place() -> None:
    with torch.device("meta"):
        small, large = torchvision.models.resnet18(), torchvision.models.resnet34()
    found = compare_modules(small, large).modules
    assert {item.kind for item in found} == {Kind.ADDED}
    assert not any(item.before for item in found)
    added = {path for path, module in large.named_modules() if not any(module.children())}
    added -= {path for path, _ in small.named_modules()}
    assert {item.path for item in found} == added
    assert [item.path for item in found] == [item.path for item in found if item.path in added]
    back = compare_modules(large, small).modules
    assert {item.kind for item in back} == {Kind.REMOVED}
    assert {item.path for item in back} == added


def test_a_setting_without_parameters_is_a_difference() -> None:
    a, b = nn.Sequential(nn.Dropout(0.1)), nn.Sequential(nn.Dropout(0.5))
    (item,) = compare_modules(a, b).modules
    assert "p=0.1" in item.before
    assert "p=0.5" in item.after


def test_a_changed_module_that_was_also_frozen_says_both(store: Store) -> None:
    frozen = BASE.with_edit(Freeze(("fc",), trainable=False))
    both = frozen.with_edit(Retarget(10, (), (HEAD,), (), "0" * 64))
    (item,) = compare(BASE, both, store).modules
    assert (item.before, item.after) == (
        "Linear(512 → 1000), trainable",
        "Linear(512 → 10), frozen",
    )
    assert [item.before for item in compare(frozen, both, store).modules] == ["Linear(512 → 1000)"]


def test_a_head_that_was_appended_is_all_that_differs() -> None:
    body = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU())
    whole = Appended(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()), nn.Linear(8, 5))
    found = compare_modules(body, whole)
    assert (found.a_root, found.b_root) == ("", "body")
    conv, head = found.modules
    assert (conv.path_before, conv.path, conv.kind) == ("0", "body.0", Kind.CHANGED)
    assert conv.weights == (WeightDifference("weight", "8×3×1×1", "8×3×3×3"),)
    assert (head.path, head.kind, head.after) == ("head", Kind.ADDED, "Linear(8 → 5)")
    assert head.weights[1] == WeightDifference("bias", "", "5")
    back = compare_modules(whole, body)
    assert [(item.path_before, item.path) for item in back.modules] == [
        ("body.0", "0"),
        (None, "head"),
    ]


def test_an_added_module_stands_after_its_neighbour() -> None:
    a = nn.Sequential()
    b = nn.Sequential()
    for name in ("first", "last"):
        a.add_module(name, nn.ReLU())
    for name in ("zero", "first", "middle", "last"):
        b.add_module(name, nn.ReLU())
    assert [item.path for item in compare_modules(a, b).modules] == ["zero", "middle"]


def test_modules_are_described_in_one_line() -> None:
    assert describe(nn.Linear(2, 3, bias=False)) == "Linear(2 → 3, bias=False)"
    assert describe(nn.Conv2d(2, 3, 1)) == "Conv2d(2 → 3, kernel_size=(1, 1), stride=(1, 1))"
    assert describe(nn.ReLU()) == "ReLU()"
    assert "\n" not in describe(torchvision.models.vit_b_16().encoder)
