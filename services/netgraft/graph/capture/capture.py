"""The recording of a model, by the best way that its code allows.

    "export"    torch.export on meta tensors, with a symbolic batch
    "modules"   one forward watched: on meta tensors or, where the code reads values
                (as detection models do), on the CPU with random weights

torch.export runs in its non-strict mode: strict (Dynamo) takes several times as
long and exports no torchvision model that non-strict does not.
"""

import logging
import threading
from typing import Any, Protocol

import torch
from torch import nn

from netgraft.errors import CannotDraw
from netgraft.graph.capture.exporting import EXAMPLE_BATCH, export, has_batch
from netgraft.graph.capture.recording import Recording
from netgraft.graph.capture.tracing import trace
from netgraft.graph.lens import Parameter
from netgraft.graph.nesting import Size
from netgraft.language import quoted

logger = logging.getLogger(__name__)

RESISTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
           ValueError)  # fmt: skip
"""Errors that a model's code may raise on tensors without values."""

_one_at_a_time = threading.Lock()
"""torch.export keeps global state, so only one export may run at a time."""


class Subject(Protocol):
    """A model that can be built."""

    @property
    def name(self) -> str:
        """The name used in error messages."""

    def module(self, device: str) -> nn.Module:
        """The module in evaluation mode; its weights may have any values."""

    def inputs(self, device: str, batch: int) -> tuple[Any, ...]:
        """Arguments of one forward."""


def capture(subject: Subject) -> tuple[Recording, nn.Module]:
    """A recording of the subject and the module it was taken from. Raises CannotDraw."""
    with _one_at_a_time:
        try:
            module = subject.module("meta")
            return _without_values(module, subject.inputs("meta", EXAMPLE_BATCH)), module
        except RESISTS as error:
            logger.info("%s needs values to run: %s", subject.name, _line(error))
        module = subject.module("cpu")
        try:
            return trace(module, subject.inputs("cpu", 1), examples=1), module
        except RESISTS as error:
            raise CannotDraw(model=subject.name, problem=quoted(_line(error))) from error


def _without_values(module: nn.Module, inputs: tuple[Any, ...]) -> Recording:
    if has_batch(inputs):  # else export would show nothing that watching a forward does not
        try:
            return export(module, inputs)
        except RESISTS as error:
            logger.info("torch.export takes no %s: %s", type(module).__name__, _line(error))
    return trace(module, inputs, examples=EXAMPLE_BATCH)


def warm() -> None:
    """Draw something small, so that the first request does not wait for imports."""
    with _one_at_a_time:
        module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).to("meta").eval()
        export(module, (torch.zeros(EXAMPLE_BATCH, 3, 8, 8, device="meta"),))


def _line(error: BaseException) -> str:
    """The error's first line: the rest names files of the server."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def parameters(module: nn.Module) -> dict[str, Parameter]:
    """Every parameter under each of its names."""
    return {
        name: Parameter(id(parameter), parameter.numel(), parameter.requires_grad)
        for name, parameter in module.named_parameters(remove_duplicate=False)
    }


def sizes(module: nn.Module) -> dict[str, Size]:
    """The size of every module by its path; "" is the model. Shared parameters count once."""
    totals: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    for name, parameter in module.named_parameters(remove_duplicate=False):
        path = name
        while path:
            path = path.rpartition(".")[0]
            if (path, id(parameter)) in seen:
                continue
            seen.add((path, id(parameter)))
            total = totals.setdefault(path, [0, 0])
            total[0] += parameter.numel()
            total[1] += parameter.numel() if parameter.requires_grad else 0
    return {path: Size(*total) for path, total in totals.items()}
