"""Losses as modules. `catalogue.make_loss` makes them by name.

Shapes: N batch, K classes, … any further dimensions (H, W of a mask). logits_NK…
is what the model returns; a target is indices_N… (long) or one value per class,
shaped like the logits (float).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NO_INDEX = -100


def one_hot(indices: Tensor, logits: Tensor) -> Tensor:
    """indices_N… → targets_NK… like the logits; ignored places must be masked after."""
    classes = logits.shape[1]
    flat = F.one_hot(indices.clamp(0, classes - 1), classes)
    return flat.movedim(-1, 1).to(logits.dtype)


def mean_of(loss: Tensor, counts: Tensor) -> Tensor:
    """Mean of `loss` over the places where `counts` is not 0; 0 when there are none."""
    counts = counts.expand_as(loss).to(loss.dtype)
    return (loss * counts).sum() / counts.sum().clamp(min=torch.finfo(loss.dtype).tiny)


class CrossEntropy(nn.Module):
    """Cross entropy of the softmax, with or without label smoothing (Szegedy et al. 2016)."""

    def __init__(self, weight: Tensor | None, smoothing: float, ignore_index: int) -> None:
        super().__init__()
        self.smoothing = smoothing
        self.ignore_index = ignore_index
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits_NK…, target → scalar."""
        # PyTorch refuses an index to ignore beside float targets, except its own default.
        ignored = NO_INDEX if target.is_floating_point() else self.ignore_index
        return F.cross_entropy(
            logits, target, self.weight, ignore_index=ignored, label_smoothing=self.smoothing
        )


class Focal(nn.Module):
    """(1 − p)^γ · cross entropy (Lin et al. 2017), over softmax classes."""

    def __init__(self, weight: Tensor | None, gamma: float, ignore_index: int) -> None:
        super().__init__()
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits_NK…, target → scalar."""
        log_p = F.log_softmax(logits, dim=1)
        truth = target if target.is_floating_point() else one_hot(target, logits)
        loss = -((1 - log_p.exp()) ** self.gamma) * log_p * truth
        if self.weight is not None:
            loss = loss * self.weight.view(1, -1, *[1] * (logits.ndim - 2))
        counts = torch.ones_like(loss[:, 0])
        if not target.is_floating_point():
            counts = (target != self.ignore_index).to(loss.dtype)
        return mean_of(loss.sum(dim=1), counts)


DISTANCES: dict[str, Callable[..., Tensor]] = {
    "bce": F.binary_cross_entropy_with_logits,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "huber": F.huber_loss,
}


class OneHot(nn.Module):
    """A distance of logits from one-hot targets, class by class.

    Squared distance from one-hot targets classifies about as well as cross entropy
    (Hui and Belkin 2021).
    """

    def __init__(self, kind: str, weight: Tensor | None, ignore_index: int) -> None:
        super().__init__()
        self.distance = DISTANCES[kind]
        self.ignore_index = ignore_index
        self.register_buffer("weight", weight)
        self.weight: Tensor | None

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits_NK…, target → scalar."""
        truth = target if target.is_floating_point() else one_hot(target, logits)
        loss = self.distance(logits, truth, reduction="none")
        if self.weight is not None:
            loss = loss * self.weight.view(1, -1, *[1] * (logits.ndim - 2))
        if target.is_floating_point():
            return loss.mean()
        return mean_of(loss, (target != self.ignore_index).unsqueeze(1))


class Dice(nn.Module):
    """1 − 2·overlap / (predicted + true), mean over classes (Milletari et al. 2016)."""

    def __init__(self, ignore_index: int) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """logits_NK…, indices_N… → scalar."""
        known = (target != self.ignore_index).unsqueeze(1).to(logits.dtype)
        p = logits.softmax(dim=1) * known
        truth = one_hot(target, logits) * known
        over = [d for d in range(logits.ndim) if d != 1]
        overlap, total = (p * truth).sum(over), (p + truth).sum(over)
        present = total > 0
        tiny = torch.finfo(logits.dtype).eps
        return mean_of(1 - 2 * overlap / total.clamp(min=tiny), present)
