"""Low-rank adapters (LoRA, Hu et al. 2021) beside layers, as PEFT makes them.

An adapted layer is y = W x + (alpha / rank) B A x, where A is rank × in and B out × rank. PEFT
puts W one level down: "fc.weight" becomes "fc.base_layer.weight", beside "fc.lora_A.default.weight"
and "fc.lora_B.default.weight". Taken away, a model has its adapters added to W and is plain
again, except as code with its state dict, which keep them (`edits.lora`).
"""

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from torch import nn

from netgraft.errors import PackageMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peft.tuners.lora import LoraLayer

PARTS = (".lora_A.", ".lora_B.")
"""One of these is in the name of each tensor of an adapter."""


def must_have_peft() -> None:
    """Raise PackageMissing where PEFT is not installed."""
    if find_spec("peft") is None:
        raise PackageMissing(what="LoRA", package="peft", extra="lora")


def can_adapt(layer: nn.Module) -> bool:
    """True if a layer can have an adapter: a plain Linear, or a convolution in one group.

    PEFT gives the adapter of a convolution its kernel, stride and zeros around the input, but
    neither its dilation nor another padding: such a layer would compute and merge differently.
    """
    if type(layer) is nn.Conv2d:
        plain = layer.padding_mode == "zeros" and set(layer.dilation) == {1}
        return plain and layer.groups == 1
    return type(layer) is nn.Linear


def is_adapters(name: str) -> bool:
    """True if a tensor is an adapter's, by its name."""
    return any(part in name for part in PARTS)


def adapted_around(module: nn.Module, path: str) -> str:
    """Path of the layer with an adapter that `path` lies within; "" where there is none.

    What lies within it is gone once the adapter is added to the layer's weights.
    """
    return next((each for each, _ in _adapted(module) if path.startswith(f"{each}.")), "")


def put_adapters(
    module: nn.Module,
    layers: "Sequence[str]",
    *,
    rank: int,
    alpha: float,
    dropout: float,
    trained: "Sequence[str]",
) -> None:
    """Put adapters beside layers, with values that mean nothing yet, in place.

    They and the modules `trained` train, nothing else. Raises PackageMissing.
    """
    must_have_peft()
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]  # any number will do
        lora_dropout=dropout,
        # A list would mean every path that ends so.
        target_modules="|".join(re.escape(path) for path in layers),
    )
    training = module.training
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(config, module)
    module.requires_grad_(False)
    heads = tuple(f"{path}." for path in trained)
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(is_adapters(name) or name.startswith(heads))
    module.train(training)


def merge_adapters(module: nn.Module) -> nn.Module:
    """The module with its adapters added to the layers that they stand beside, in place."""
    for path, layer in list(_adapted(module)):
        layer.merge()
        module.set_submodule(path, layer.get_base_layer())
    return module


def _adapted(module: nn.Module) -> "Iterator[tuple[str, LoraLayer]]":
    if not any(is_adapters(name) for name, _ in module.named_parameters()):
        return
    from peft.tuners.lora import LoraLayer

    for path, layer in module.named_modules():
        if isinstance(layer, LoraLayer):
            yield path, layer
