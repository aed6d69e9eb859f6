"""Defaults for fine-tuning where the request has no value: functions return them frozen.

tests/tuning/test_recipes.py holds them to this: mobilenet_v2 with its ImageNet weights
classifies the held-out digits after two epochs, whatever the seed.
"""

from dataclasses import dataclass, field

FEW = 20
"""Pictures per class below which training all layers mostly overfits."""


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
    because: dict[str, str] = field(default_factory=dict)


def usual(facts: Facts, *, optimizer: str = "", strategy: str = "") -> Defaults:
    """Defaults for one label per picture; `optimizer` and `strategy` are "" where left open."""
    chosen = strategy if strategy in ("full", "probe") else _strategy(facts)
    stepping = optimizer or "adamw"
    epochs = min(30, max(3, round(6000 / max(1, facts.examples))))
    batch_size = _batch_size(facts)
    network = "pretrained" if facts.pretrained else "random"
    norm = "with batch norm" if facts.batch_norm else "without batch norm"
    because = {
        "epochs": f"about 6,000 pictures seen in all, in 3 to 30 passes over {facts.examples:,}",
        "batch_size": "small enough for many steps per pass, large enough for batch statistics",
        "optimizer": "needs the least tuning of its learning rate",
        "lr": f"usual for {stepping} on a network {norm} from {network} weights",
        "strategy": _why(chosen, facts),
    }
    return Defaults(epochs, batch_size, stepping, _rate(facts, stepping, chosen), chosen, because)


def _strategy(facts: Facts) -> str:
    few = facts.examples < FEW * facts.classes
    return "probe" if facts.pretrained and few and not facts.adapters else "full"


def _why(strategy: str, facts: Facts) -> str:
    if facts.adapters and strategy == "full":
        return "the LoRA adapters train, and all else that is not frozen"
    each = facts.examples / max(1, facts.classes)
    if strategy == "probe":
        return f"about {each:.0f} pictures per class are too few to train every layer"
    return f"about {each:.0f} pictures per class suffice to train every layer that is not frozen"


def _batch_size(facts: Facts) -> int:
    usual = 128 if facts.gpu else 32
    if facts.examples >= 50_000:
        usual *= 2
    fitting = max(2 * facts.workers, min(usual, facts.examples // 8))
    return max(facts.workers, fitting // facts.workers * facts.workers)


def _rate(facts: Facts, optimizer: str, strategy: str) -> float:
    if strategy == "probe":
        return 0.05 if optimizer == "sgd" else 3e-3
    if optimizer == "sgd":
        return 0.02 if facts.batch_norm else 0.003
    return 1e-3 if facts.batch_norm else 1e-4
