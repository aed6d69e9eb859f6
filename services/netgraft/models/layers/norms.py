"""Batch norms that are frozen: the rule by which their running statistics stay."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def frozen_norms(module: nn.Module) -> list[nn.Module]:
    """Batch norms that must keep their running statistics.

    Those whose own parameters are frozen; one without parameters goes by its parent's.
    """
    found: list[nn.Module] = []
    for name, layer in module.named_modules():
        if isinstance(layer, _BatchNorm):
            own = list(layer.parameters(recurse=False))
            judged = own or list(module.get_submodule(name.rpartition(".")[0]).parameters())
            if judged and not any(parameter.requires_grad for parameter in judged):
                found.append(layer)
    return found
