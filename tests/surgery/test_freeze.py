"""What trains."""

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import InvalidValue, UnknownModule
from netgraft.models.build import build
from netgraft.models.edits.freeze import Freeze
from netgraft.models.export.code import python
from netgraft.models.recipe import Recipe
from netgraft.models.resolve import resolve
from netgraft.surgery.freeze import set_trainable
from netgraft.surgery.retarget import retarget


def base(anatomies: Anatomies, name: str) -> Recipe:
    return resolve(f"{name}@none", "pretrained", anatomies.store).recipe


def training(recipe: Recipe, anatomies: Anatomies) -> set[str]:
    module = build(recipe, anatomies.store, device="meta")
    return {name for name, p in module.named_parameters() if p.requires_grad}


def every(recipe: Recipe, anatomies: Anatomies) -> set[str]:
    return {name for name, _ in build(recipe, anatomies.store, device="meta").named_parameters()}


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("resnet18", {"fc.weight", "fc.bias"}),
        ("vit_b_16", {"heads.head.weight", "heads.head.bias"}),
        ("timm/test_vit", {"head.weight", "head.bias"}),
        (
            "timm/levit_128s",
            {
                "head.linear.weight",
                "head.linear.bias",
                "head_dist.linear.weight",
                "head_dist.linear.bias",
            },
        ),
    ],
)
def test_backbone_is_everything_except_the_class_heads(
    name: str, head: set[str], anatomies: Anatomies
) -> None:
    recipe = base(anatomies, name)
    frozen = set_trainable(recipe, ["backbone"], False, anatomies).recipe
    assert training(frozen, anatomies) == head
    assert training(
        set_trainable(frozen, ["backbone"], True, anatomies).recipe, anatomies
    ) == every(recipe, anatomies)


def test_a_module_called_backbone_is_what_backbone_means(anatomies: Anatomies) -> None:
    frozen = set_trainable(base(anatomies, "fcn_resnet50"), ["backbone"], False, anatomies).recipe
    trains = training(frozen, anatomies)
    assert trains
    assert {name.split(".")[0] for name in trains} == {"classifier"}


def test_head_and_all(anatomies: Anatomies) -> None:
    recipe = base(anatomies, "resnet18")
    nothing = set_trainable(recipe, ["all"], False, anatomies).recipe
    assert training(nothing, anatomies) == set()
    head = set_trainable(nothing, ["head"], True, anatomies).recipe
    assert training(head, anatomies) == {"fc.weight", "fc.bias"}


def test_modules_and_single_parameters_by_path(anatomies: Anatomies) -> None:
    recipe = base(anatomies, "timm/test_vit")
    frozen = set_trainable(recipe, ["blocks.0", " pos_embed ", "blocks.0"], False, anatomies).recipe
    lost = every(recipe, anatomies) - training(frozen, anatomies)
    assert "pos_embed" in lost
    assert {name for name in lost if name != "pos_embed"} == {
        name for name in every(recipe, anatomies) if name.startswith("blocks.0.")
    }
    assert frozen.edits[-1] == Freeze(("blocks.0", "pos_embed"), False)


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("layer*", ("layer1", "layer2", "layer3", "layer4")),
        ("layer[1-2].?.bn1", ("layer1.0.bn1", "layer1.1.bn1", "layer2.0.bn1", "layer2.1.bn1")),
        (
            "*.downsample.1",
            ("layer2.0.downsample.1", "layer3.0.downsample.1", "layer4.0.downsample.1"),
        ),
        ("f?.bias", ("fc.bias",)),
    ],
)
def test_a_pattern_means_the_outermost_parts_that_it_fits(
    pattern: str, paths: tuple[str, ...], anatomies: Anatomies
) -> None:
    recipe = base(anatomies, "resnet18")
    frozen = set_trainable(recipe, [pattern], False, anatomies).recipe
    assert frozen.edits[-1] == Freeze(paths, False)
    still = training(frozen, anatomies)
    assert not any(name.startswith(paths) for name in still)
    assert {name for name in every(recipe, anatomies) if not name.startswith(paths)} == still


@pytest.mark.parametrize("pattern", ["layer9*", "[", "*.nothing", "layer1.[5-7]"])
def test_a_pattern_that_fits_nothing_names_the_nearest(pattern: str, anatomies: Anatomies) -> None:
    with pytest.raises(UnknownModule) as caught:
        set_trainable(base(anatomies, "resnet18"), [pattern], False, anatomies)
    assert len(str(caught.value.values["nearest"]).split(", ")) == 3


def test_a_new_head_behind_a_model_without_one_is_its_head(anatomies: Anatomies) -> None:
    recipe = retarget(base(anatomies, "timm/samvit_base_patch16"), 3, (), anatomies).recipe
    frozen = set_trainable(recipe, ["backbone"], False, anatomies).recipe
    assert training(frozen, anatomies) == {"head.weight", "head.bias"}


def test_a_frozen_head_stays_frozen_when_it_is_replaced(anatomies: Anatomies) -> None:
    recipe = set_trainable(base(anatomies, "resnet18"), ["fc"], False, anatomies).recipe
    assert not {"fc.weight", "fc.bias"} & training(
        retarget(recipe, 3, (), anatomies).recipe, anatomies
    )


def test_the_plain_code_of_a_recipe_freezes_the_same_layers(
    anatomies: Anatomies, tmp_path: Path
) -> None:
    recipe = retarget(base(anatomies, "timm/test_vit"), 3, (), anatomies).recipe
    frozen = set_trainable(recipe, ["backbone"], False, anatomies).recipe
    frozen = set_trainable(frozen, ["blocks.1"], True, anatomies).recipe
    model = build(frozen, anatomies.store).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    (tmp_path / "model.py").write_text(python(frozen, "weights.pth", anatomies.store))
    again: nn.Module = runpy.run_path(str(tmp_path / "model.py"))["model"]
    assert [(n, p.requires_grad) for n, p in again.named_parameters()] == [
        (n, p.requires_grad) for n, p in model.named_parameters()
    ]
    x_NCHW = torch.rand(1, 3, 160, 160)
    assert torch.equal(again(x_NCHW), model(x_NCHW))


def test_an_unknown_path_names_the_three_nearest(anatomies: Anatomies) -> None:
    with pytest.raises(UnknownModule) as caught:
        set_trainable(base(anatomies, "resnet18"), ["layer1", "layr4"], False, anatomies)
    nearest = str(caught.value.values["nearest"]).split(", ")
    assert len(nearest) == 3
    assert nearest[0] == "layer4"


def test_a_model_without_a_head_has_no_head_to_freeze(
    tiny: Callable[..., Recipe], anatomies: Anatomies
) -> None:
    headless = tiny(lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)))
    with pytest.raises(UnknownModule):
        set_trainable(headless, ["head"], False, anatomies)
    assert set_trainable(headless, ["backbone"], False, anatomies).recipe.edits[-1] == Freeze(
        ("0", "1"), False
    )


@pytest.mark.parametrize("layers", [[], [""], ["  "]])
def test_no_layer_is_no_request(layers: list[str], anatomies: Anatomies) -> None:
    with pytest.raises((InvalidValue, UnknownModule)):
        set_trainable(base(anatomies, "resnet18"), layers, False, anatomies)
