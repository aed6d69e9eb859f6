"""An edit and its operation, as a package outside netgraft brings them.

A convolution whose weights are standardised before each use (Qiao et al. 2019, "Micro-Batch
Training with Batch-Channel Normalization and Weight Standardization").
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.language import Message
from netgraft.models.build import build
from netgraft.models.edits.edit import Changes, Code, Edit
from netgraft.models.export.statements import place
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.operations import operation

DEFINITION = '''class StandardConv2d(nn.Conv2d):
    """A convolution with weights of mean 0 and variance 1 for each output."""

    def forward(self, x):
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        spread = weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        return self._conv_forward(x, weight / (spread + 1e-5), self.bias)
'''


class StandardConv2d(nn.Conv2d):
    """A convolution with weights of mean 0 and variance 1 for each output."""

    def forward(self, x: Tensor) -> Tensor:
        """x_NIHW → y_NOHW."""
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        spread = weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
        y: Tensor = self._conv_forward(x, weight / (spread + 1e-5), self.bias)
        return y


@dataclass(frozen=True)
class Standardise(Edit):
    """Standardised weights for the convolutions at `paths`."""

    op: ClassVar[str] = "standardise"
    paths: tuple[str, ...]

    @property
    def changes(self) -> Changes:
        return Changes(title=Message("weights standardised"))

    def describe(self) -> Message:
        return Message("Weights of {path} are standardised", path=", ".join(self.paths))

    def restructure(self, module: nn.Module) -> nn.Module:
        for path in self.paths:
            module.get_submodule(path).__class__ = StandardConv2d
        return module

    def code(self, model: nn.Module) -> Code:
        lines = [f"{place(model, path)}.__class__ = StandardConv2d" for path in self.paths]
        return Code(lines, {"StandardConv2d": DEFINITION})


@operation("standardise")
def standardise(recipe: Recipe, paths: Sequence[str], anatomies: Anatomies) -> Edited:
    """The recipe with standardised weights at `paths`; it is stored."""
    edit = Standardise(tuple(paths))
    edited = recipe.with_edit(edit)
    module = build(edited, anatomies.store, device="meta")
    anatomies.remember(edited, measure(module, traced(edited, module)))
    put_recipe(anatomies.store, edited)
    return Edited(edited, Facts(edit))
