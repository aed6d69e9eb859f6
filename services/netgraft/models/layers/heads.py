"""Heads of another size: a layer with other outputs, or a new one behind a model without a head."""

import torch
from torch import Tensor, nn

from netgraft.models.layers.named import to_zeros


def resize_head(module: nn.Module, path: str, out: int) -> None:
    """Give the layer at `path` new parameters with `out` outputs, which are 0.

    Device, dtype, bias and requires_grad stay; the layer's class stays too.
    """
    layer = module.get_submodule(path)
    for name, old in layer.named_parameters(recurse=False):
        new = torch.zeros((out, *old.shape[1:]), dtype=old.dtype, device=old.device)
        setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)


class Appended(nn.Module):
    """A model without a head, and a Linear behind its pooled features."""

    def __init__(self, body: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, *inputs: Tensor) -> Tensor:
        """x_NCHW → logits_NK."""
        return self.head(pooled(self.body(*inputs)))  # type: ignore[no-any-return]


def pooled(features: Tensor | tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    """features_NCHW, features_NLC or features_NC (the last of several) → features_NC."""
    last = features if isinstance(features, Tensor) else features[-1]
    if last.ndim == 4:
        return last.mean(dim=(2, 3))
    return last.mean(dim=1) if last.ndim == 3 else last


def append_head(module: nn.Module, in_features: int, out: int) -> nn.Module:
    """The module with a Linear of `out` outputs behind it, whose parameters are 0."""
    like = next(module.parameters())
    linear = nn.Linear(in_features, out, device="meta", dtype=like.dtype)
    to_zeros(linear, like.device)
    return Appended(module, linear)
