"""LoRA adapters beside layers, in a module by PEFT and as plain code.

The names of parameters and the order of operations in the code are PEFT's, so a state dict of the
one loads into the other, and both compute the same to the bit.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.drawn import Draw
from netgraft.models.edits.edit import Changes, Code, Edit, layers_named
from netgraft.models.stored import LATER

if TYPE_CHECKING:
    from torch import nn

BASE = ".base_layer"
"""What PEFT puts behind the path of a layer that has an adapter now."""

ADAPTED = '''class Adapted(nn.Module):
    """A layer, and a low-rank adapter beside it (LoRA)."""

    def __init__(self, layer, rank, scale, dropout):
        super().__init__()
        self.base_layer, self.scale = layer, scale
        if isinstance(layer, nn.Linear):
            down = nn.Linear(layer.in_features, rank, bias=False)
            up = nn.Linear(rank, layer.out_features, bias=False)
        else:
            size = (layer.kernel_size, layer.stride, layer.padding)
            down = nn.Conv2d(layer.in_channels, rank, *size, bias=False)
            up = nn.Conv2d(rank, layer.out_channels, 1, bias=False)
        drop = nn.Dropout(dropout) if dropout else nn.Identity()
        self.lora_dropout = nn.ModuleDict({"default": drop})
        self.lora_A = nn.ModuleDict({"default": down})
        self.lora_B = nn.ModuleDict({"default": up})

    def __getattr__(self, name):
        if name in ("weight", "bias"):
            return getattr(self.base_layer, name)
        return super().__getattr__(name)

    def forward(self, x):
        down = self.lora_A["default"](self.lora_dropout["default"](x))
        return self.base_layer(x) + self.lora_B["default"](down) * self.scale


def adapt(model, layers, heads, rank, alpha, dropout):
    """Adapters beside layers; they and the heads train, nothing else."""
    for path in layers:
        layer = model.get_submodule(path)
        model.set_submodule(path, Adapted(layer, rank, alpha / rank, dropout))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name or name.startswith(heads))
'''


@dataclass(frozen=True)
class Lora(Edit):
    """Low-rank adapters beside layers; they and the heads train, nothing else."""

    op: ClassVar[str] = "lora"
    rank: int
    alpha: float
    dropout: float
    layers: tuple[str, ...]
    trained: tuple[str, ...]
    """Heads that train with them."""
    tensors: str
    """The delta with A and B of each adapter; "" where they are drawn."""
    draw: Draw | None = field(default=None, metadata=LATER)

    @property
    def changes(self) -> Changes:
        title = Message("LoRA {rank}", rank=self.rank)
        return Changes(draw=self.draw, delta=self.tensors, adapters=True, title=title)

    def describe(self) -> Message:
        return Message(
            "LoRA adapters of rank {rank} (alpha {alpha:g}, dropout {dropout:g}), added to the "
            "weights in all formats but {python} and {state_dict}: {layers}",
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            python="python",
            state_dict="state_dict",
            layers=layers_named(self.layers),
        )

    def restructure(self, module: "nn.Module") -> "nn.Module":
        """See `Edit`. Raises PackageMissing."""
        from netgraft.models.layers.adapters import put_adapters

        put_adapters(
            module,
            self.layers,
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            trained=self.trained,
        )
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export.statements import literal

        heads = "".join(f"{literal(f'{head}.')}, " for head in self.trained).rstrip()
        lines = [
            "layers = (",
            *(f"    {literal(path)}," for path in self.layers),
            ")",
            f"adapt(model, layers, ({heads}), {self.rank}, {self.alpha}, {self.dropout})",
        ]
        return Code(lines, {"adapt": ADAPTED})

    def name_after(self, name: str) -> str:
        layer, _, parameter = name.rpartition(".")
        return f"{layer}{BASE}.{parameter}" if layer in self.layers else name

    def name_before(self, name: str) -> str:
        layer, _, parameter = name.rpartition(".")
        adapted = layer.removesuffix(BASE)
        return f"{adapted}.{parameter}" if adapted != layer and adapted in self.layers else name
