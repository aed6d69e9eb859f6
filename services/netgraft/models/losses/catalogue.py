"""The losses that training can minimise: their names, and the tasks that they fit.

Imports torch only where a loss is made, so that names can be checked cheaply.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netgraft.language import Message

if TYPE_CHECKING:
    from torch import Tensor, nn

WHOLE = ("classification", "video", "unknown")
"""Tasks with one class for the whole input."""
EVERY = (*WHOLE, "segmentation")

SMOOTHING = 0.1
GAMMA = 2.0
IGNORED = 255
"""Class index of pixels that are left out of a loss, as in Pascal VOC."""


@dataclass(frozen=True)
class Loss:
    """One loss."""

    says: Message
    tasks: tuple[str, ...]
    """Tasks whose logits and targets it fits."""


LOSSES: dict[str, Loss] = {
    "cross_entropy": Loss(Message("cross entropy of the softmax"), EVERY),
    "label_smoothing": Loss(
        Message("cross entropy with targets smoothed by {share}", share=SMOOTHING), EVERY
    ),
    "focal": Loss(
        Message("focal loss, gamma {gamma:g}: easy examples count less", gamma=GAMMA), EVERY
    ),
    "bce": Loss(Message("binary cross entropy of every class by itself"), EVERY),
    "mse": Loss(Message("squared distance of the logits from the one-hot target"), WHOLE),
    "l1": Loss(Message("absolute distance of the logits from the one-hot target"), WHOLE),
    "huber": Loss(Message("Huber distance of the logits from the one-hot target"), WHOLE),
    "dice": Loss(Message("one minus the overlap of masks"), ("segmentation",)),
}


def fitting(task: str) -> tuple[str, ...]:
    """Names of the losses that fit a task; () where the model computes its own."""
    return tuple(name for name, loss in LOSSES.items() if task in loss.tasks)


DISTANCES = ("mse", "l1", "huber")
"""Distances of any values, so of probabilities too (of these, mse is the score of Brier)."""

BEHIND = {
    "softmax": DISTANCES,
    "sigmoid": DISTANCES,
    # The softmax of these values is the one that they come from: nothing is changed by another.
    "log_softmax": ("cross_entropy", "label_smoothing", "focal", "dice"),
}


def fitting_behind(activation: str) -> tuple[str, ...]:
    """Names of the losses that fit outputs that have been through an activation."""
    return BEHIND[activation]


def make_loss(
    name: str,
    *,
    class_weights: "Tensor | None" = None,
    smoothing: float = SMOOTHING,
    gamma: float = GAMMA,
    ignore_index: int = IGNORED,
) -> "nn.Module":
    """A module (logits_NK…, target) → mean loss. An empty name means cross entropy.

    `target` holds class indices_N… (long), or, for several classes at once, a
    probability per class, shaped like the logits (float; not for "dice"). Raises
    KeyError for an unknown name.
    """
    from netgraft.models.losses import modules as made

    match name or "cross_entropy":
        case "cross_entropy":
            return made.CrossEntropy(class_weights, 0.0, ignore_index)
        case "label_smoothing":
            return made.CrossEntropy(class_weights, smoothing, ignore_index)
        case "focal":
            return made.Focal(class_weights, gamma, ignore_index)
        case "bce" | "mse" | "l1" | "huber" as kind:
            return made.OneHot(kind, class_weights, ignore_index)
        case "dice":
            return made.Dice(ignore_index)
    raise KeyError(name)
