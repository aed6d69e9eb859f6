"""Losses: which fit, and what they compute."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from netgraft.errors import InvalidValue
from netgraft.models.losses import LOSSES, fitting, make_loss
from netgraft.models.store import Store
from netgraft.models.zoo import resolve
from netgraft.surgery.loss import set_loss

LOGITS_NK = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])
TARGET_N = torch.tensor([0, 2])
P_NK = LOGITS_NK.softmax(1)
ONE_HOT = F.one_hot(TARGET_N, 3).float()


def picked(p_NK: Tensor) -> Tensor:
    return p_NK[torch.arange(2), TARGET_N]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", -picked(P_NK).log().mean()),
        ("cross_entropy", -picked(P_NK).log().mean()),
        ("label_smoothing", -(P_NK.log() * (0.9 * ONE_HOT + 0.1 / 3)).sum(1).mean()),
        ("focal", -((1 - picked(P_NK)) ** 2 * picked(P_NK).log()).mean()),
        (
            "bce",
            -(
                ONE_HOT * LOGITS_NK.sigmoid().log()
                + (1 - ONE_HOT) * (1 - LOGITS_NK.sigmoid()).log()
            ).mean(),
        ),
        ("mse", ((LOGITS_NK - ONE_HOT) ** 2).mean()),
        ("l1", (LOGITS_NK - ONE_HOT).abs().mean()),
        ("huber", F.huber_loss(LOGITS_NK, ONE_HOT)),
        ("dice", (1 - 2 * (P_NK * ONE_HOT).sum(0) / (P_NK + ONE_HOT).sum(0)).mean()),
    ],
)
def test_each_loss_computes_its_formula(name: str, expected: Tensor) -> None:
    assert float(make_loss(name)(LOGITS_NK, TARGET_N)) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_falls_when_it_is_followed(name: str) -> None:
    torch.manual_seed(0)
    masks = "segmentation" in LOSSES[name].tasks
    logits = torch.randn(4, 3, 5, 5) if masks else torch.randn(4, 3)
    target = torch.randint(0, 3, (4, 5, 5) if masks else (4,))
    loss = make_loss(name)
    logits.requires_grad_()
    before = loss(logits, target)
    before.backward()
    assert logits.grad is not None
    with torch.no_grad():
        after = loss(logits - 0.1 * logits.grad / logits.grad.abs().max(), target)
    assert after < before


@pytest.mark.parametrize("name", fitting("segmentation"))
def test_ignored_pixels_change_nothing(name: str) -> None:
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    target[:, 0] = 255
    other = logits.clone()
    other[:, :, 0] = 50 * torch.randn(2, 3, 4)
    loss = make_loss(name)
    assert float(loss(logits, target)) == pytest.approx(float(loss(other, target)), rel=1e-5)
    nowhere = loss(logits, torch.full_like(target, 255))
    assert math.isnan(float(nowhere)) or float(nowhere) == 0


@pytest.mark.parametrize("name", [n for n in fitting("classification") if n != "dice"])
def test_several_classes_at_once_are_given_as_one_value_per_class(name: str) -> None:
    loss = make_loss(name)
    indices, values = loss(LOGITS_NK, TARGET_N), loss(LOGITS_NK, ONE_HOT)
    assert float(indices) == pytest.approx(float(values), rel=1e-5)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "bce", "mse"])
def test_class_weights_count(name: str) -> None:
    heavy = make_loss(name, class_weights=torch.tensor([1.0, 1.0, 9.0]))
    light = make_loss(name, class_weights=torch.ones(3))
    assert float(heavy(LOGITS_NK, TARGET_N)) > float(light(LOGITS_NK, TARGET_N))


def test_an_unknown_loss_has_no_module() -> None:
    with pytest.raises(KeyError):
        make_loss("hinge")


def test_the_recipe_remembers_the_loss(store: Store) -> None:
    recipe = resolve("resnet18@none", "pretrained", store).recipe
    edited = set_loss(recipe, " Focal ", store)
    assert edited.loss == "focal"
    assert store.get_recipe(edited.id) == edited
    assert set_loss(edited, "bce", store).loss == "bce"


@pytest.mark.parametrize(
    ("model", "loss"),
    [
        ("resnet18", "hinge"),
        ("resnet18", ""),
        ("resnet18", "dice"),
        ("fcn_resnet50", "huber"),
        ("fasterrcnn_resnet50_fpn", "cross_entropy"),
        ("raft_small", "l1"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(model: str, loss: str, store: Store) -> None:
    recipe = resolve(f"{model}@none", "pretrained", store).recipe
    with pytest.raises(InvalidValue):
        set_loss(recipe, loss, store)


def test_segmentation_can_be_trained_on_overlap(store: Store) -> None:
    recipe = resolve("lraspp_mobilenet_v3_large@none", "pretrained", store).recipe
    assert set_loss(recipe, "dice", store).loss == "dice"
