"""A model with its preprocessing inside: pictures in, probabilities out.

Pictures are upright squares of the model's side. Resizing and cropping stay outside: no export
format resizes as Pillow does, by which the model was tuned, and other pixels give other answers.
"""

from typing import Any

import torch
from torch import Tensor, nn

from netgraft.errors import CannotExport
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.answering import Answering
from netgraft.models.recipe import Recipe

PICTURES, PROBABILITIES = "pictures", "probabilities"
"""The names of the input and the output in an ONNX file."""
TASKS = ("classification", "unknown")


class Whole(nn.Module):
    """Normalises x_NCHW (uint8, RGB) and turns logits_NK into probabilities."""

    shift: Tensor
    scale: Tensor

    def __init__(self, model: nn.Module, answering: Answering) -> None:
        super().__init__()
        self.model = model
        self.temperature = answering.temperature
        deviation_C11 = torch.tensor(answering.deviation)[:, None, None]
        self.register_buffer("shift", torch.tensor(answering.mean)[:, None, None] * 255)
        self.register_buffer("scale", 1 / (deviation_C11 * 255))

    def forward(self, x_NCHW: Tensor) -> Tensor:
        logits_NK: Any = self.model((x_NCHW.float() - self.shift) * self.scale)
        return torch.softmax(logits_NK / self.temperature, 1)


def must_be_whole(recipe: Recipe, kind: str) -> None:
    """Raise CannotExport for formats and tasks whose files take no preprocessing in."""
    if kind not in ("onnx", "pt2"):
        problem = Message("only onnx and pt2 files take the preprocessing into them.")
        raise CannotExport(model=recipe.title, format=kind, problem=problem)
    if bases.task(recipe.base) not in TASKS:
        problem = Message("only models of whole pictures take their preprocessing in.")
        raise CannotExport(model=recipe.title, format=kind, problem=problem)
