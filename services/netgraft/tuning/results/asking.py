"""Asking a model about pictures, always in the same way, so that its answers are the same bits.

A run measures what it has made by the same code as `evaluate` and `predict` ask it with. The
answer to a picture must not depend on the pictures beside it: a convolution adds up in another
order for another number of pictures, so every batch has the same number of them. (Measured: with
that, neither their order, nor what fills the batch up, nor the number of threads changes a bit.)

Shapes: N pictures, K classes, C channels, H and W pixels.
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from netgraft.models.answering import Answering
from netgraft.tuning.data.loading import Normaliser
from netgraft.tuning.tasks.classification import every_logits
from netgraft.tuning.train.precision import autocast

TOGETHER = {"cpu": 8, "cuda": 64}
"""Pictures of 224 pixels in every batch, by type of device: few where a single one may be all that
is asked."""
MOST_TOGETHER = 64
"""Pictures of every batch, at most: of smaller ones so many that a batch has as many pixels."""


def together(side: int, device: torch.device) -> int:
    """The number of pictures of a side in every batch."""
    usual = TOGETHER.get(device.type, TOGETHER["cpu"])
    return max(usual, min(MOST_TOGETHER, usual * 224**2 // side**2))


class Asker:
    """A module in evaluation mode, and how it is asked."""

    def __init__(
        self, module: nn.Module, answering: Answering, device: torch.device | None = None
    ) -> None:
        """The module is moved to the device, and put into its memory layout."""
        self.device = device or torch.device("cpu")
        self.answering = answering
        self.together = together(answering.side, self.device)
        self.layout = torch.channels_last if answering.channels_last else torch.contiguous_format
        self.module = module.to(self.device).to(memory_format=self.layout).eval()
        self._normalise = Normaliser(answering.mean, answering.deviation, self.device)

    @torch.inference_mode()
    def logits(self, x_NCHW: Tensor) -> Tensor:
        """logits_NK (float32, on the CPU) of pictures (uint8), in any number."""
        found = [self._asked(part) for part in torch.split(x_NCHW, self.together)]
        return torch.cat(found) if found else torch.empty(0, 0)

    def answers(self, batches: Iterable[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
        """logits_NK and labels_N for batches of pictures (uint8) and labels."""
        for x_NCHW, labels_N in batches:
            yield self.logits(x_NCHW), labels_N

    def probabilities(self, logits_NK: Tensor) -> Tensor:
        """The probabilities of the classes, calibrated by the temperature."""
        return (logits_NK / self.answering.temperature).softmax(1)

    def _asked(self, x_NCHW: Tensor) -> Tensor:
        number = len(x_NCHW)
        if number < self.together:
            filling = x_NCHW.new_zeros(self.together - number, *x_NCHW.shape[1:])
            x_NCHW = torch.cat([x_NCHW, filling])
        given = self._normalise.normalised(x_NCHW).contiguous(memory_format=self.layout)
        with autocast(self.device, self.answering.precision):
            output = self.module(given)
        return every_logits(output)[0][:number].float().cpu()
