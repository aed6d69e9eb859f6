"""Batch norms folded into the layer before them: in evaluation both are one linear map.

Pairs are found by running the module, not by its source: a batch norm whose input is the very
tensor that a convolution or Linear returned. The run cannot show whether that tensor is used
elsewhere too, so the caller compares the folded module's output with the original's.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights
from torch.nn.utils.parametrize import is_parametrized

PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
"""Batch norms that do nothing else."""


@dataclass
class Pairs:
    """The layers of a module that a batch norm follows, as one run shows them."""

    found: dict[str, str] = field(default_factory=dict)
    """Path of a batch norm → path of the layer before it."""
    _calls: dict[str, int] = field(default_factory=dict)
    _made: dict[int, tuple[str, Tensor]] = field(default_factory=dict)

    def watch(self, module: nn.Module) -> list[torch.utils.hooks.RemovableHandle]:
        """Watch the runs of a module until the returned hooks are removed."""
        if not any(_can_go(layer) for layer in module.modules()):
            return []
        return [
            layer.register_forward_hook(self._hook(name))
            for name, layer in module.named_modules()
            if _takes_norms(layer) or _can_go(layer)
        ]

    def forget_tensors(self) -> None:
        """Let go of the outputs that were kept so that their ids stayed theirs."""
        self._made.clear()

    def folding(self) -> dict[str, str]:
        """The pairs of which both layers ran once, and that no other pair shares."""
        befores = list(self.found.values())
        return {
            norm: before
            for norm, before in self.found.items()
            if self._calls[norm] == self._calls[before] == befores.count(before) == 1
        }

    def _hook(self, name: str) -> Any:
        def note(layer: nn.Module, given: tuple[Any, ...], made: Any) -> None:
            self._calls[name] = self._calls.get(name, 0) + 1
            if isinstance(layer, _BatchNorm):
                before, kept = self._made.get(id(given[0]), ("", None))
                if kept is given[0]:
                    self.found[name] = before
            elif isinstance(made, Tensor):
                self._made[id(made)] = (name, made)

        return note


def fold(module: nn.Module, pairs: Pairs) -> int:
    """Fold the pairs of a module in place and return their number. It must stay in eval mode."""
    folding = pairs.folding()
    for norm_path, path in folding.items():
        layer, norm = module.get_submodule(path), module.get_submodule(norm_path)
        assert isinstance(layer, _ConvNd | nn.Linear)
        assert isinstance(norm, _BatchNorm)
        layer.weight, layer.bias = _folded(layer, norm)
        parent, _, name = norm_path.rpartition(".")
        setattr(module.get_submodule(parent), name, _rest(norm))
    return len(folding)


def _folded(layer: _ConvNd | nn.Linear, norm: _BatchNorm) -> tuple[nn.Parameter, nn.Parameter]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    if isinstance(layer, nn.Linear):
        return fuse_linear_bn_weights(layer.weight, layer.bias, *statistics)
    return fuse_conv_bn_weights(layer.weight, layer.bias, *statistics, layer.transposed)


def _rest(norm: Any) -> nn.Module:
    """Return what a batch norm does besides: timm's BatchNormAct2d drops and activates."""
    if isinstance(norm, PLAIN) and not hasattr(norm, "act"):
        return nn.Identity()
    return nn.Sequential(norm.drop, norm.act)


def _takes_norms(layer: nn.Module) -> bool:
    return isinstance(layer, _ConvNd | nn.Linear) and not is_parametrized(layer)


def _can_go(layer: nn.Module) -> bool:
    """True for a batch norm with running statistics, of which `_rest` is known."""
    if not isinstance(layer, _BatchNorm) or layer.running_var is None or layer.running_mean is None:
        return False
    return type(layer) in PLAIN or (hasattr(layer, "act") and hasattr(layer, "drop"))
