"""Find out whether a model's output is logits, or what a last activation made of them."""

from torch import Tensor

from netgraft.errors import LossMismatch
from netgraft.language import Message
from netgraft.models.losses.catalogue import fitting, fitting_behind

ACTIVATIONS = {
    "SoftmaxBackward0": "softmax",
    "LogSoftmaxBackward0": "log_softmax",
    "SigmoidBackward0": "sigmoid",
}
"""Last operators after which values are no logits, by the names of their derivatives."""

RESHAPING = frozenset(
    f"{name}Backward0"
    for name in ("View", "UnsafeView", "ReshapeAlias", "Squeeze", "Unsqueeze", "Permute",
                 "Transpose", "T", "Alias", "Clone", "ToCopy")
)  # fmt: skip
"""Operators that leave values as they are."""


def last_activation(output: Tensor) -> str:
    """ "softmax", "log_softmax", "sigmoid", or "" for logits. The output requires a gradient."""
    node = output.grad_fn
    while node is not None:
        name = node.name()
        if name in ACTIVATIONS:
            return ACTIVATIONS[name]
        if name not in RESHAPING:
            return ""
        node = node.next_functions[0][0]
    return ""


def must_fit(loss: str, output: Tensor, task: str, model: str) -> None:
    """Raise LossMismatch where a loss does not fit such outputs."""
    activation = last_activation(output)
    if activation and loss not in (fit := fitting_behind(activation)):
        others = ", ".join(name for name in fitting(task) if name in fit) or Message("none")
        raise LossMismatch(loss=loss, model=model, activation=activation, fitting=others)
