"""The running average of a module's weights (EMA), which generalises better than the last step's.

Polyak and Juditsky, 1992; the growing decay is TensorFlow's `ExponentialMovingAverage`: a short
run averages over about the last ninth of its steps, and a long one over a thousand.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

GREATEST_DECAY = 0.999
MOST_APART = 16
"""Steps between two values that are taken into the averages, at most. Neighbours are nearly equal,
and taking all of them cost 1 % of mobilenet_v2's steps at 64 pixels."""


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
        """Take the values after step number `steps`, counted from 1, into the averages.

        Of a long average only some steps count, with as much weight as those in between.
        """
        decay = min(GREATEST_DECAY, (1 + steps) / (10 + steps))
        apart = _steps_apart(1 / (1 - decay))
        if steps % apart == 0:
            share = 1 - decay**apart
            torch._foreach_lerp_(list(self._mean.values()), list(self._live.values()), share)

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


def _steps_apart(window: float) -> int:
    """The steps between two values of an average over `window` steps: a power of two."""
    most = max(1, min(MOST_APART, int(window / 8)))
    return 1 << (most.bit_length() - 1)
