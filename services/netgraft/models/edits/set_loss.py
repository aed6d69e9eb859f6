"""The loss that training minimises from now on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.edits.edit import Changes, Code, Edit

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class SetLoss(Edit):
    """Another loss; the model itself stays as it is."""

    op: ClassVar[str] = "set_loss"
    loss: str
    """Name in `losses.catalogue`, such as "focal"."""

    @property
    def changes(self) -> Changes:
        return Changes(moves_heads=False, flops=False, retarget=False, loss=self.loss)

    def describe(self) -> Message:
        return Message("Loss: {loss}", loss=self.loss)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export import loss_code

        return Code(definitions={"loss": loss_code.function(self.loss)})
