"""LoRA adapters as plain code: the layers of `lora`, for a program without PEFT.

The names of parameters and the order of operations are PEFT's, so a state dict of the one loads
into the other, and both compute the same to the bit.
"""

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
