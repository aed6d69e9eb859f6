"""Losses: which fit, and what they compute."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import InvalidValue, LossMismatch
from netgraft.models.losses.catalogue import LOSSES, fitting, make_loss
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.resolve import resolve
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.surgery.set_loss import set_loss
from netgraft.v1 import surgery_pb2

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


def test_the_recipe_remembers_the_loss(anatomies: Anatomies) -> None:
    recipe = resolve("resnet18@none", "pretrained", anatomies.store).recipe
    edited = set_loss(recipe, " Focal ", anatomies).recipe
    assert edited.loss == "focal"
    assert get_recipe(anatomies.store, edited.id) == edited
    assert set_loss(edited, "bce", anatomies).recipe.loss == "bce"


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
def test_a_loss_that_does_not_fit_is_refused(model: str, loss: str, anatomies: Anatomies) -> None:
    recipe = resolve(f"{model}@none", "pretrained", anatomies.store).recipe
    with pytest.raises(InvalidValue):
        set_loss(recipe, loss, anatomies)


def test_segmentation_can_be_trained_on_overlap(anatomies: Anatomies) -> None:
    recipe = resolve("lraspp_mobilenet_v3_large@none", "pretrained", anatomies.store).recipe
    assert set_loss(recipe, "dice", anatomies).recipe.loss == "dice"


TASKS = ("classification", "video", "segmentation", "detection", "optical_flow")
ONE_OF_EACH = (
    "timm/test_resnet",
    "r3d_18",
    "lraspp_mobilenet_v3_large",
    "ssdlite320_mobilenet_v3_large",
    "raft_small",
)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("model", "task"), zip(ONE_OF_EACH, TASKS, strict=True))
def test_every_loss_is_taken_by_the_tasks_that_it_fits_and_refused_by_all_others(
    model: str, task: str, name: str, anatomies: Anatomies
) -> None:
    recipe = resolve(f"{model}@none", "pretrained", anatomies.store).recipe
    one_answer = task in ("classification", "video")
    masks = task == "segmentation"
    fits = (one_answer and name != "dice") or (masks and name not in ("mse", "l1", "huber"))
    if fits:
        assert set_loss(recipe, name, anatomies).recipe.loss == name
    else:
        with pytest.raises(InvalidValue, match=r"compute their own|one of"):
            set_loss(recipe, name, anatomies)


class Squashed(nn.Module):
    """A classifier whose logits go through an activation."""

    def __init__(self, last: nn.Module, *, only_in_use: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, 5)
        self.last = last
        self.only_in_use = only_in_use

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NK = self.fc(self.conv(x_NCHW).mean(dim=(2, 3)))
        bare = self.only_in_use and self.training
        return logits_NK if bare else self.last(logits_NK)


@pytest.mark.parametrize(
    ("last", "fit"),
    [
        (nn.Softmax(1), {"mse", "l1", "huber"}),
        (nn.Sigmoid(), {"mse", "l1", "huber"}),
        (nn.LogSoftmax(1), {"cross_entropy", "label_smoothing", "focal"}),
        (nn.Identity(), set(fitting("classification"))),
    ],
)
def test_a_loss_that_reads_logits_is_refused_behind_a_last_activation(
    last: nn.Module, fit: set[str], surgery: SurgeryServicer, tiny: Callable[..., Recipe]
) -> None:
    recipe = tiny(lambda: Squashed(last))
    put_recipe(surgery.store, recipe)
    for loss in fitting("classification"):
        request = surgery_pb2.SetLossRequest(model=recipe.id, loss=loss)
        if loss in fit:
            assert surgery.SetLoss(request).model.loss == loss
        else:
            with pytest.raises(LossMismatch, match="put Identity"):
                surgery.SetLoss(request)
    replaced = surgery.ReplaceModule(
        surgery_pb2.ReplaceModuleRequest(model=recipe.id, path="last", type="Identity")
    )
    request = surgery_pb2.SetLossRequest(model=replaced.model.id, loss="bce")
    assert surgery.SetLoss(request).model.loss == "bce"


def test_what_counts_is_what_training_sees(
    anatomies: Anatomies, tiny: Callable[..., Recipe]
) -> None:
    recipe = tiny(lambda: Squashed(nn.Softmax(1), only_in_use=True))
    assert set_loss(recipe, "cross_entropy", anatomies).recipe.loss == "cross_entropy"


def test_the_losses_of_a_log_softmax_are_those_of_its_logits() -> None:
    for name in ("cross_entropy", "label_smoothing", "focal"):
        loss = make_loss(name)
        logged = loss(LOGITS_NK.log_softmax(1), TARGET_N)
        assert float(logged) == pytest.approx(float(loss(LOGITS_NK, TARGET_N)), rel=1e-5)
