"""Dropout in front of a layer, whose parameters keep their names.

A Sequential around the layer would turn "fc.weight" into "fc.1.weight", and tensors that
were stored, exported or tuned before would have no place. So the layer itself drops: it
becomes of a class that has an nn.Dropout, which holds no tensors, and calls it first. No
hook: torch.export, ONNX, TorchScript and pickle see an ordinary module.
"""

from collections.abc import Iterable

from torch import Tensor, nn


class DropoutLinear(nn.Linear):
    """A Linear with an nn.Dropout before it."""

    dropout: nn.Dropout

    def forward(self, x: Tensor) -> Tensor:
        """x_…I → y_…O."""
        return nn.functional.linear(self.dropout(x), self.weight, self.bias)


class DropoutConv1d(nn.Conv1d):
    """A Conv1d with an nn.Dropout before it."""

    dropout: nn.Dropout

    def forward(self, x: Tensor) -> Tensor:
        """x_NIL → y_NOL."""
        y: Tensor = self._conv_forward(self.dropout(x), self.weight, self.bias)
        return y


class DropoutConv2d(nn.Conv2d):
    """A Conv2d with an nn.Dropout before it."""

    dropout: nn.Dropout

    def forward(self, x: Tensor) -> Tensor:
        """x_NIHW → y_NOHW."""
        y: Tensor = self._conv_forward(self.dropout(x), self.weight, self.bias)
        return y


class DropoutConv3d(nn.Conv3d):
    """A Conv3d with an nn.Dropout before it."""

    dropout: nn.Dropout

    def forward(self, x: Tensor) -> Tensor:
        """x_NITHW → y_NOTHW."""
        y: Tensor = self._conv_forward(self.dropout(x), self.weight, self.bias)
        return y


WITH_DROPOUT: dict[type[nn.Module], type[nn.Module]] = {
    nn.Linear: DropoutLinear,
    nn.Conv1d: DropoutConv1d,
    nn.Conv2d: DropoutConv2d,
    nn.Conv3d: DropoutConv3d,
}
"""The class that a plain layer becomes."""


def can_drop(layer: nn.Module) -> bool:
    """True if a layer is of a class that can take a dropout, or has one already."""
    return type(layer) in WITH_DROPOUT or type(layer) in WITH_DROPOUT.values()


def set_dropout(
    module: nn.Module, p: float, layers: Iterable[str], dropouts: Iterable[str]
) -> None:
    """Put an nn.Dropout(p) before `layers`, and set the probability of `dropouts`, in place.

    Raises KeyError for a layer that cannot take it.
    """
    for path in layers:
        layer = module.get_submodule(path)
        if type(layer) not in WITH_DROPOUT.values():
            layer.__class__ = WITH_DROPOUT[type(layer)]
        layer.dropout = nn.Dropout(p).train(layer.training)
    for path in dropouts:
        module.get_submodule(path).p = p  # type: ignore[assignment]
