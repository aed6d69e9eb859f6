"""A layer of torch.nn in the place of a module."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.drawn import Draw
from netgraft.models.edits.edit import Changes, Code, Edit
from netgraft.models.stored import LATER, Scalar

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Replace(Edit):
    """A layer of torch.nn in the place of the module at `path`."""

    op: ClassVar[str] = "replace"
    path: str
    type: str
    """Class of torch.nn, such as "GELU"."""
    arguments: tuple[tuple[str, Scalar], ...]
    """Of its constructor, by keyword, sorted."""
    tensors: str
    """The delta with its parameters and buffers; "" where they are drawn, or there are none."""
    draw: Draw | None = field(default=None, metadata=LATER)

    @property
    def layer(self) -> str:
        """The layer as code, such as "GELU(approximate='tanh')"."""
        arguments = (f"{name}={value!r}" for name, value in self.arguments)
        return f"{self.type}({', '.join(arguments)})"

    @property
    def changes(self) -> Changes:
        return Changes(draw=self.draw, delta=self.tensors)

    def describe(self) -> Message:
        return Message("{path} became {layer}", path=self.path, layer=self.layer)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        from netgraft.models.layers.named import make, put_layer

        put_layer(module, self.path, lambda: make(self.type, self.arguments))
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export.statements import put

        return Code([put(model, self.path, f"nn.{self.layer}")])

    def name_after(self, name: str) -> str:
        return "" if self._within(name) else name

    def name_before(self, name: str) -> str:
        return "" if self._within(name) else name

    def _within(self, name: str) -> bool:
        return name.startswith(f"{self.path}.")
