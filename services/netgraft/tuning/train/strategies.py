"""Defaults for fine-tuning where the request has no value: functions return them frozen.

tests/tuning/test_recipes.py holds them to this: mobilenet_v2 with its ImageNet weights
classifies the held-out digits after two epochs, whatever the seed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from netgraft.language import Message, mark

MOST_FROM_PROBE = 12
"""Epochs of full tuning from a probe's head, at most."""
SEEN_FROM_PROBE = 60_000
"""Pictures that they see, about, at most, of large sets."""
PATIENCE = 2
"""Epochs without a better figure after which it stops, once the rate is low."""
LEAST_SHARE, MANY = 0.05, 2_000
"""Of the usual rate after a probe, at least; and the pictures from which on it is the usual one."""
IMBALANCED = 3.0
"""From this ratio of the largest class to the mean on, the classes' mean recall decides."""


@dataclass(frozen=True)
class Facts:
    """The facts on which the defaults depend."""

    examples: int
    """To train on."""
    classes: int
    pretrained: bool
    batch_norm: bool
    """Whether the network normalises by batch statistics, as most convolutional ones do."""
    gpu: bool
    workers: int
    probes: bool = True
    """Whether a probe can be made: one head, and a loss that nobody chose."""
    imbalanced: bool = False
    """Whether one class has so many pictures that the classes' mean recall decides."""
    adapters: bool = False
    """Whether LoRA adapters train in place of the layers, beside the heads."""


@dataclass(frozen=True)
class Defaults:
    """Values and, in `because`, why each was chosen."""

    epochs: int
    batch_size: int
    optimizer: str
    lr: float
    strategy: str
    patience: int = 0
    """Epochs without a better figure after which it stops; 0: it does all."""
    because: dict[str, Message] = field(default_factory=dict)
    balance: str = "none"
    label_smoothing: float = 0.0
    mixup: float = 0.0


def is_imbalanced(counts: Sequence[int]) -> bool:
    """Return whether the mean recall of classes says more than the share of right answers."""
    mean = sum(counts) / max(1, len(counts))
    return max(counts, default=0) >= IMBALANCED * mean


def usual(facts: Facts, *, optimizer: str = "", strategy: str = "") -> Defaults:
    """Defaults for one label per picture; `optimizer` and `strategy` are "" where left open."""
    chosen = strategy if strategy in ("full", "probe") else _strategy(facts)
    stepping = optimizer or "adamw"
    epochs = _epochs(facts)
    if chosen == "auto":  # it stops by itself where they bring nothing
        epochs = min(MOST_FROM_PROBE, max(3, round(SEEN_FROM_PROBE / max(1, facts.examples))))
    batch_size = _batch_size(facts)
    because = {
        "epochs": _why_epochs(chosen, facts),
        "batch_size": Message(
            "small enough for many steps per pass, large enough for batch statistics"
        ),
        "optimizer": Message("needs the least tuning of its learning rate"),
        "lr": _why_rate(facts, stepping),
        "strategy": _why(chosen, facts),
    }
    rate = _rate(facts, stepping, chosen)
    patience = PATIENCE if chosen == "auto" else 0
    # Of digits, one with ten times the pictures of the others, .83 to .86 were right with weights,
    # and .81 to .86 without.
    balance = "weights" if facts.imbalanced else "none"
    return Defaults(epochs, batch_size, stepping, rate, chosen, patience, because, balance)


def _epochs(facts: Facts) -> int:
    if not facts.pretrained:
        return min(60, max(10, round(40_000 / max(1, facts.examples))))
    return min(30, max(3, round(6000 / max(1, facts.examples))))


def _strategy(facts: Facts) -> str:
    return "auto" if facts.pretrained and facts.probes and not facts.adapters else "full"


def _why_rate(facts: Facts, optimizer: str) -> Message:
    if facts.pretrained and facts.batch_norm:
        template = mark("usual for {optimizer} on a pretrained network with batch norm")
    elif facts.pretrained:
        template = mark("usual for {optimizer} on a pretrained network without batch norm")
    elif facts.batch_norm:
        template = mark("usual for {optimizer} on a network with batch norm from random weights")
    else:
        template = mark("usual for {optimizer} on a network without batch norm from random weights")
    return Message(template, optimizer=optimizer)


def _why(strategy: str, facts: Facts) -> Message:
    if facts.adapters and strategy == "full":
        return Message("the LoRA adapters train, and all else that is not frozen")
    if strategy == "auto":
        return Message("the probe in seconds, then every layer from its head, while that pays")
    if strategy == "probe":
        return Message("the head alone, on features of the frozen network")
    if not facts.pretrained:
        return Message("every layer: it is trained from random weights")
    return Message("every layer that is not frozen")


def _why_epochs(strategy: str, facts: Facts) -> Message:
    if strategy == "auto":
        return Message("at most; it stops after {epochs} that bring nothing", epochs=PATIENCE)
    if not facts.pretrained:
        return Message(
            "a network that is trained from random weights needs many: 10 to 60 over {examples:,}",
            examples=facts.examples,
        )
    return Message(
        "about 6,000 pictures seen in all, in 3 to 30 passes over {examples:,}",
        examples=facts.examples,
    )


def _batch_size(facts: Facts) -> int:
    usual = 128 if facts.gpu else 32
    if facts.examples >= 50_000:
        usual *= 2
    fitting = max(2 * facts.workers, min(usual, facts.examples // 8))
    return max(facts.workers, fitting // facts.workers * facts.workers)


def _rate(facts: Facts, optimizer: str, strategy: str) -> float:
    if strategy == "probe":
        return 0.05 if optimizer == "sgd" else 3e-3
    if strategy == "auto":  # the head is good: what follows must not spoil it (arXiv:2202.10054)
        return float(f"{_rate(facts, optimizer, 'full') * _share(facts):.1g}")
    if optimizer == "sgd":
        return 0.02 if facts.batch_norm else 0.003
    return 1e-3 if facts.batch_norm else 1e-4


def _share(facts: Facts) -> float:
    """Of the usual rate after a probe: few pictures give few steps to recover from large ones in.

    mobilenet_v2, 245 photographs: .954 by the probe, .909 after two epochs at 5e-4, .935 at 1e-4;
    Fashion-MNIST (2,000): .815, and .856 after four at 1e-3; digits (1,437): .950 and .983 at 5e-4.
    """
    return min(1.0, max(LEAST_SHARE, facts.examples / MANY))
