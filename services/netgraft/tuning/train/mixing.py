"""Mixup (arXiv:1710.09412): a network learns from blends of two pictures and of their targets.

Works with any loss, because a blend's loss is the blend of the losses to both targets.

Shapes: N batch, C channels, H and W pixels.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Beta

from netgraft.tuning.train.objective import Batch


@dataclass(frozen=True)
class Mixed:
    """A batch of blends."""

    batch: Batch
    """x_NCHW, and the target of the first picture of each pair."""
    other: Tensor
    """The target of the second."""
    share: float
    """That of the first."""

    def criterion(self, criterion: nn.Module) -> nn.Module:
        """The loss that knows of both targets."""
        return _OfBoth(criterion, self.other, self.share)


def mixed(batch: Batch, alpha: float) -> Mixed:
    """Blend each picture with another of its batch, by a share from Beta(α, α).

    Draws from torch's global generator, which a step seeds.
    """
    x_NCHW, target = batch
    share = float(Beta(alpha, alpha).sample())
    order_N = torch.randperm(len(x_NCHW)).to(x_NCHW.device)
    blended_NCHW = torch.lerp(x_NCHW[order_N], x_NCHW, share)
    return Mixed((blended_NCHW, target), target[order_N], share)


class _OfBoth(nn.Module):
    def __init__(self, criterion: nn.Module, other: Tensor, share: float) -> None:
        super().__init__()
        self.inner = criterion
        self.other = other
        self.share = share

    def forward(self, answer: Tensor, target: Tensor) -> Tensor:
        first, second = self.inner(answer, target), self.inner(answer, self.other)
        return torch.lerp(second, first, self.share)
