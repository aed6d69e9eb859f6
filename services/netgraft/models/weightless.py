"""Build library models without their weights.

`torch.device("meta")` alone breaks constructors that read tensors (RegNet, 61 of
timm's models). Here everything is built on the CPU, but each parameter moves to
the meta device the moment it is registered: no memory is touched, no random
number drawn, and buffers hold real values until the end.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.utils.weak import WeakIdKeyDictionary

from netgraft.models.untrusted.patching import override


@contextmanager
def weightless() -> Iterator[None]:
    """Within this block and thread, new modules get meta parameters."""
    # A parameter that two modules share must stay one parameter.
    shared = WeakIdKeyDictionary()

    def register(
        original: Callable[..., None], module: nn.Module, name: str, param: nn.Parameter | None
    ) -> None:
        if param is None or param.is_meta or nn.parameter.is_lazy(param):
            return original(module, name, param)
        if param not in shared:
            meta = nn.Parameter(param.detach().to("meta"), requires_grad=param.requires_grad)
            shared[param] = meta
        return original(module, name, shared[param])

    with override(nn.Module, "register_parameter", register):
        yield


def construct_weightless(construct: Callable[[], nn.Module]) -> nn.Module:
    """The module that `construct` makes, on the meta device."""
    # Some constructors compute with buffers that lie beside a parameter: they want
    # everything on meta (timm's dinov3), or nothing (timm's swinv2, torchvision's ssdlite,
    # which tries a part out on a picture); the last pay for memory and initialisation.
    for context in (weightless(), torch.device("meta")):
        try:
            with context:
                return construct().to("meta")
        except RuntimeError:  # with NotImplementedError below it
            continue
    return construct().to("meta")
