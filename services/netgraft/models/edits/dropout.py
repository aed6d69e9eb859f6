"""Dropout before heads."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.edits.edit import Changes, Code, Edit, layers_named

if TYPE_CHECKING:
    from torch import nn

DEFINITION = '''def dropout_before(layer, p):
    """nn.Dropout before a layer, whose parameters keep their names."""
    kind = type(layer)

    class WithDropout(kind):
        def forward(self, x):
            return kind.forward(self, self.dropout(x))

    if not hasattr(layer, "dropout"):
        layer.__class__ = WithDropout
    layer.dropout = nn.Dropout(p)
'''


@dataclass(frozen=True)
class Dropout(Edit):
    """Dropout of probability `p` before heads."""

    op: ClassVar[str] = "dropout"
    p: float
    layers: tuple[str, ...]
    """Heads that have one of their own."""
    dropouts: tuple[str, ...]
    """Dropouts of the model that stand before heads already, and get this `p`."""

    @property
    def changes(self) -> Changes:
        return Changes(flops=False)

    def describe(self) -> Message:
        layers = layers_named(self.layers + self.dropouts)
        return Message("Dropout of {p:g} before the head: {layers}", p=self.p, layers=layers)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        from netgraft.models.layers.dropout import set_dropout

        set_dropout(module, self.p, self.layers, self.dropouts)
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export.statements import assignment, place

        own = [f"dropout_before({place(model, path)}, {self.p})" for path in self.layers]
        set_to = [assignment(f"{place(model, path)}.p", self.p) for path in self.dropouts]
        return Code([*own, *set_to], {"dropout_before": DEFINITION} if own else {})
