"""Which parameters train: those below some paths are frozen, or train again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.edits.edit import Changes, Code, Edit, layers_named

if TYPE_CHECKING:
    from torch import nn

FEW = 3
"""Parts that are frozen a line each; more of them are frozen in a loop."""


@dataclass(frozen=True)
class Freeze(Edit):
    """`trainable` of the parameters below each of `paths` ("" is the whole model)."""

    op: ClassVar[str] = "freeze"
    paths: tuple[str, ...]
    trainable: bool

    @property
    def changes(self) -> Changes:
        return Changes(moves_heads=False, flops=False)

    def describe(self) -> Message:
        layers = layers_named(self.paths)
        if self.trainable:
            return Message("Trains again: {layers}", layers=layers)
        return Message("Froze: {layers}", layers=layers)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        for path in self.paths:
            _set_trainable(module, path, self.trainable)
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export.statements import part

        parts = [part(model, path) for path in self.paths]
        if len(parts) <= FEW:
            return Code([f"{part}.requires_grad_({self.trainable})" for part in parts])
        listed = "".join(f"    {part},\n" for part in parts)
        return Code([f"for part in (\n{listed}):\n    part.requires_grad_({self.trainable})"])


def _set_trainable(module: "nn.Module", path: str, trainable: bool) -> None:
    owner, _, name = path.rpartition(".")
    if path and name in dict(module.get_submodule(owner).named_parameters(recurse=False)):
        module.get_parameter(path).requires_grad_(trainable)
    else:
        module.get_submodule(path).requires_grad_(trainable)
