"""A torchvision name as the plain call that makes its structure, and asks no network.

Torchvision's builders change the structure by the name of the weights (auxiliary heads, sides of
pictures, frozen BatchNorm), and download them. So options that say the same without weights are
tried, and compared with the real structure; a name that none of them fits is built with its
weights named, and what would load them made to do nothing.
"""

import inspect
from collections.abc import Callable, Iterator
from pkgutil import resolve_name
from textwrap import indent
from typing import Any

import torchvision
from torch import nn

from netgraft.models.recipe import Base
from netgraft.models.source import Plain
from netgraft.models.weightless import construct_weightless

LINE = 88
"""Characters of a line, as most formatters have it."""

MODELS = "torchvision.models"
PLACES = (
    MODELS,
    *(f"{MODELS}.{task}" for task in ("segmentation", "detection", "video", "optical_flow")),
    f"{MODELS}.quantization",
)

Structure = list[tuple[object, ...]]

HELD_STILL_NEEDS = (
    "from unittest import mock",
    "import torchvision",
    "from torchvision.models import WeightsEnum",
)
HELD_STILL = (
    "# The structure depends on the weights' name; their values come from the file below.",
    "with (",
    '    mock.patch.object(WeightsEnum, "get_state_dict", lambda *_, **__: {}),',
    '    mock.patch.object(nn.Module, "load_state_dict", lambda *_, **__: None),',
    "):",
)


def plain(base: Base, construct: Callable[[Base], nn.Module], side: int) -> Plain:
    """The code for a base; `construct` makes its structure, for pictures of `side` pixels."""
    wanted = _fingerprint(construct_weightless(lambda: construct(base)))
    for options in _options(base.name, side):
        if _structure(base.name, options) == wanted:
            return Plain(("import torchvision",), (_call(base.name, {"weights": None, **options}),))
    named = {"weights": base.weights, **_no_backbone(base.name)}
    return Plain(HELD_STILL_NEEDS, (*HELD_STILL, indent(_call(base.name, named), "    ")))


def _structure(name: str, options: dict[str, Any]) -> Structure | None:
    """The structure that a name has with these options; None when it does not know them."""

    def construct() -> nn.Module:
        made: nn.Module = torchvision.models.get_model(name, weights=None, **options)
        return made

    try:
        return _fingerprint(construct_weightless(construct))
    except (TypeError, ValueError):
        return None


def _options(name: str, side: int) -> Iterator[dict[str, Any]]:
    """The options that stand for what builders do when weights are named; the usual first."""
    if backbone := _no_backbone(name):
        yield backbone
        yield backbone | {"aux_loss": True}
        return
    yield {}
    yield {"image_size": side}
    for auxiliary in (False, True):
        yield {"transform_input": True, "aux_logits": auxiliary, "init_weights": False}


def _no_backbone(name: str) -> dict[str, Any]:
    """Segmentation and detection download a backbone of their own unless that is ruled out."""
    accepted = inspect.signature(torchvision.models.get_model_builder(name)).parameters
    return {"weights_backbone": None} if "weights_backbone" in accepted else {}


def _call(name: str, options: dict[str, Any]) -> str:
    said = ", ".join(f"{key}={_argument(value)}" for key, value in options.items())
    line = f"model = {_place(name)}({said})"
    if len(line) <= LINE:
        return line
    return f"model = {_place(name)}(\n    {said}\n)"


def _argument(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _place(name: str) -> str:
    """The full name of a builder, such as "torchvision.models.resnet50"."""
    builder = torchvision.models.get_model_builder(name)
    own = builder.__name__  # of "quantized_resnet50" it is "resnet50"
    return next(f"{p}.{own}" for p in PLACES if getattr(resolve_name(p), own, None) is builder)


def _fingerprint(module: nn.Module) -> Structure:
    """All in which two structures can differ, except the values of tensors."""
    parts: Structure = []
    for path, part in module.named_modules():
        plain = {key: value for key, value in vars(part).items() if _is_plain(key, value)}
        parts.append((path, type(part), sorted(plain.items()), part.extra_repr()))
    parts += [(path, p.shape, p.dtype, p.requires_grad) for path, p in module.named_parameters()]
    return parts + [(path, b.shape, b.dtype) for path, b in module.named_buffers()]


def _is_plain(key: str, value: object) -> bool:
    return not key.startswith("_") and isinstance(value, bool | int | float | str)
