"""Learning rates by depth: a pretrained network's early layers move less than its head.

Early features fit most pictures and late ones the old classes: layer-wise decay as in ULMFiT
(arXiv:1801.06146, section 3.2) and, for vision, BEiT (arXiv:2106.08254).
"""

from collections.abc import Collection
from dataclasses import dataclass

from torch import nn

STAGES = 6
"""Steps from the lowest rate to the highest: a group of the optimizer each."""


@dataclass(frozen=True)
class Rates:
    """Each layer's learning rate as a multiple of the schedule's."""

    head: float = 1.0
    lowest: float = 1.0
    """That of the first layer. Those between rise geometrically to 1 before the head."""

    def of(self, module: nn.Module, head: Collection[str]) -> dict[str, float]:
        """The multiple for every parameter; `head` holds the paths of the head's modules."""
        names = [name for name, _ in module.named_parameters()]
        body = [name for name in names if not below(name, head)]
        times = dict.fromkeys(names, self.head)
        for place, name in enumerate(body):  # modules are registered in order of use, mostly
            stage = place * STAGES // len(body)
            times[name] = self.lowest ** (1 - stage / (STAGES - 1))
        return times


def below(name: str, paths: Collection[str]) -> bool:
    """Return whether a parameter's name is at or below one of the paths."""
    return any(not path or name == path or name.startswith(f"{path}.") for path in paths)
