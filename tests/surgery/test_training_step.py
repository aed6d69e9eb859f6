"""One step of training on real tensors: the new heads learn, and what they feed runs."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies
from netgraft.models.build import build
from netgraft.models.losses.catalogue import make_loss
from netgraft.models.resolve import resolve
from netgraft.surgery.retarget import retarget

CLASSES = 5


def grafted(name: str, anatomies: Anatomies) -> tuple[nn.Module, list[str]]:
    """A retargeted model with random weights in training mode, and its heads' paths."""
    recipe = resolve(f"{name}@none", "pretrained", anatomies.store).recipe
    edited = retarget(recipe, CLASSES, (), anatomies).recipe
    heads = anatomies.of(edited).trace.heads
    torch.manual_seed(0)
    return build(edited, anatomies.store), [head.path for head in heads if head.classes]


def step(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[float, float]:
    """The loss before and after one small step down its slope."""
    before = loss()
    before.backward()
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p.sub_(1e-4 * p.grad / p.grad.norm().clamp(min=1e-6))
        return float(before.detach()), float(loss())


def total(output: Any, target: Tensor) -> Tensor:
    """The loss over every output that a classifier or segmenter returns in training."""
    outputs = output.values() if isinstance(output, dict) else output
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    losses = [make_loss("cross_entropy")(one, target) for one in outputs if one is not None]
    return torch.stack(losses).sum()


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("squeezenet1_1", 64),
        ("googlenet", 96),
        ("timm/test_vit", 160),
        ("timm/test_efficientnet", 64),
        ("timm/test_resnet", 64),
        ("lraspp_mobilenet_v3_large", 64),
    ],
)
def test_every_head_gets_a_gradient_and_the_loss_falls(
    name: str, side: int, anatomies: Anatomies
) -> None:
    model, heads = grafted(name, anatomies)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    x_NCHW = torch.rand(4, 3, side, side)
    target = torch.randint(0, CLASSES, (4, side, side) if "lraspp" in name else (4,))
    before, after = step(model, lambda: total(model(x_NCHW), target))
    assert after < before
    for path in heads:
        grad = model.get_parameter(f"{path}.weight").grad
        assert grad is not None
        assert grad.abs().sum() > 0


@pytest.mark.parametrize(
    "name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"]
)
def test_a_detector_learns_the_last_of_its_new_classes_and_answers_with_them(
    name: str, anatomies: Anatomies
) -> None:
    model, heads = grafted(name, anatomies)
    sizes: Any = model.transform
    sizes.min_size = (96,)  # of the picture inside the model, to be fast here
    sizes.fixed_size = sizes.fixed_size and (96, 96)
    pictures = [torch.rand(3, 96, 96) for _ in range(2)]
    box = torch.tensor([[10.0, 10.0, 80.0, 80.0]])
    targets = [{"boxes": box, "labels": torch.tensor([CLASSES])} for _ in pictures]
    losses: dict[str, Tensor] = model(pictures, targets)
    torch.stack(list(losses.values())).sum().backward()
    for path in heads:
        assert model.get_parameter(f"{path}.weight").grad is not None
    with torch.no_grad():
        for found in model.eval()(pictures):
            assert set(found["labels"].tolist()) <= set(range(1, CLASSES + 1))
