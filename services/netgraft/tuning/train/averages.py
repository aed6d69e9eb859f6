"""The running average of a module's weights (EMA), which generalises better than the last step's.

Polyak and Juditsky, 1992; the growing decay is TensorFlow's `ExponentialMovingAverage`: a short
run averages over about the last ninth of its steps, and a long one over a thousand.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

GREATEST_DECAY = 0.999


class Averages:
    """Averages of what trains and of floating-point buffers, each in the dtype of its original.

    What does not train, and buffers of whole numbers, are the module's own.
    """

    def __init__(self, module: nn.Module) -> None:
        """Start from the module's present values."""
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        buffers = {name: b for name, b in module.named_buffers() if b.is_floating_point()}
        self._buffers = tuple(buffers)
        self._live: dict[str, Tensor] = {**trained, **buffers}
        self._mean = {name: value.detach().clone() for name, value in self._live.items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take the values after step number `steps`, counted from 1, into the averages."""
        decay = min(GREATEST_DECAY, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self._mean.values()), list(self._live.values()), 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the module has the averages for its values; then its own again."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state(self) -> dict[str, Tensor]:
        """The averages, by the names of their originals."""
        return self._mean

    def buffers(self) -> list[Tensor]:
        """The averages of buffers, which each rank has of its own."""
        return [self._mean[name] for name in self._buffers]

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor] | None = None) -> None:
        """Go on from what `state` gave; None: begin with the module's present values."""
        for name, mean in self._mean.items():
            mean.copy_(self._live[name] if state is None else state[name])

    def _swap(self) -> None:
        for name, mean in self._mean.items():
            live = self._live[name]
            live.data, mean.data = mean.data, live.data
