"""Layers of torch.nn by name, and putting one in the place of a module.

Which layers there are is a rule, not a list: the module classes that torch.nn exports,
without those that hold or build other modules (their cost is not in their arguments),
and without those whose parameters are not known before a first call.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.models.nearest import nearest
from netgraft.models.stored import Scalar

ELSEWHERE = ("device", "dtype")
"""Arguments that the model decides."""
BUILDERS = ("container", "transformer", "rnn", "loss", "adaptive", "data_parallel", "distributed")
"""Modules of torch.nn.modules whose classes build or hold others, or take targets."""


@cache
def layers() -> dict[str, type[nn.Module]]:
    """Class by name."""
    kinds = {name: getattr(nn, name) for name in dir(nn) if not name.startswith("_")}
    return {name: kind for name, kind in kinds.items() if _is_layer(kind)}


def _is_layer(kind: object) -> bool:
    return (
        isinstance(kind, type)
        and issubclass(kind, nn.Module)
        and kind is not nn.Module
        and not issubclass(kind, LazyModuleMixin)
        and kind.__module__.rpartition(".")[2] not in BUILDERS
    )


def layer_class(name: str) -> type[nn.Module]:
    """The class of torch.nn that a name means. Raises InvalidValue."""
    if name not in layers():
        near = nearest(name, layers())
        expected = Message("a layer of torch.nn, such as {near}", near=near)
        raise InvalidValue(name="type", value=repr(name), expected=expected)
    return layers()[name]


def checked_arguments(name: str, arguments: Mapping[str, Scalar]) -> tuple[tuple[str, Scalar], ...]:
    """Keyword arguments of a layer, sorted by name. Raises InvalidValue."""
    parameters = inspect.signature(layer_class(name)).parameters.values()
    plain = [
        p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD or p.kind is p.KEYWORD_ONLY
    ]
    known = [each for each in plain if each not in ELSEWHERE]
    for key, value in arguments.items():
        if key not in known:
            none = Message("{type} takes no arguments", type=name)
            expected = Message("one of {choices}", choices=known) if known else none
            raise InvalidValue(name="arguments", value=repr(key), expected=expected)
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidValue(name=key, value=repr(value), expected=Message("a finite number"))
    return tuple(sorted(arguments.items()))


def make(name: str, arguments: Iterable[tuple[str, Scalar]]) -> nn.Module:
    """A layer as torch makes it, on the default device. Errors are the layer's own."""
    return layer_class(name)(**dict(arguments))


def put_layer(module: nn.Module, path: str, made: Callable[[], nn.Module]) -> None:
    """Put the layer that `made` makes, its tensors 0, in the place of the module at a path.

    Its device and dtype are those of what it replaces, or of the model where that has no
    parameters. Its parameters train. Errors are those of the layer's constructor.
    """
    old = module.get_submodule(path)
    with torch.device("meta"):
        new = made()
    like = next(old.parameters(), next(module.parameters(), torch.empty(0)))
    if like.is_floating_point():
        new = new.to(like.dtype)
    module.set_submodule(path, to_zeros(new, like.device).train(old.training))


def to_zeros(layer: nn.Module, device: torch.device) -> nn.Module:
    """A layer on meta with its parameters and buffers on a device, 0 there."""
    layer.to_empty(device=device)
    for value in (*layer.parameters(), *layer.buffers()):
        value.detach().zero_()
    return layer
