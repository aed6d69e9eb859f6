"""Where a step first met what is no number: one more pass over its batch, with every layer watched.

Knows no run and no job. Nothing is learned from the pass, and no gradient is kept.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from netgraft.anatomy.heads import tensors_in

Part = Literal["input", "weights", "output", "gradient", "loss"]


@dataclass(frozen=True)
class Unsound:
    """The part that was the first to hold what is no number."""

    part: Part
    layer: str = ""
    """Path of the layer; "" for the input and the loss."""


def unsound(module: nn.Module, batch: Any, loss: Callable[[], Tensor]) -> Unsound | None:
    """The first of input, weights, outputs, loss and gradients that is no number; None: none is.

    `loss` runs `module` over the batch as the step did.
    """
    if any(not _sound(each) for _, each in tensors_in(batch)):
        return Unsound("input")
    for name, parameter in module.named_parameters():
        if not _sound(parameter):
            return Unsound("weights", name.rpartition(".")[0] or name)
    found: list[Unsound] = []
    with torch.enable_grad(), _watched(module, found):
        value = loss()
        if not found and not _sound(value):
            found.append(Unsound("loss"))
        if found:
            return found[0]
        trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        # Not `backward`: that would have DistributedDataParallel talk to the other ranks.
        gradients = torch.autograd.grad(value, list(trained.values()), allow_unused=True)
    for name, gradient in reversed(list(zip(trained, gradients, strict=True))):
        if gradient is not None and not _sound(gradient):
            found.append(Unsound("gradient", name.rpartition(".")[0] or name))
    return found[0] if found else None


@contextmanager
def _watched(module: nn.Module, found: list[Unsound]) -> Iterator[None]:
    """Within the block the outputs of layers and the gradients that reach them are watched."""

    def look(path: str, output: Any) -> None:
        for _, each in tensors_in(output):
            if not _sound(each):
                found.append(Unsound("output", path))
            elif each.requires_grad:
                each.register_hook(lambda gradient: reached(path, gradient))  # type: ignore[no-untyped-call]

    def reached(path: str, gradient: Tensor) -> None:
        if not _sound(gradient):
            found.append(Unsound("gradient", path))

    hooks = [
        layer.register_forward_hook(lambda _, __, output, path=path: look(path, output))
        for path, layer in module.named_modules()
        if not any(layer.children())
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _sound(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value.detach()).all())
