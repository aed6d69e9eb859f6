"""Questions about a base: its module, task, input and weights. Its source answers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base, Recipe
from netgraft.models.source import Plain, Preprocessing, source_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from netgraft.models.untrusted.formats import Format
    from netgraft.store.store import Store


def base_module(
    base: Base,
    *,
    device: "torch.device | str" = "cpu",
    load_weights: bool = True,
    store: "Store | None" = None,
) -> "nn.Module":
    """The base's module in training mode; see `Source.module`.

    A base with a user's file needs the store that has it.
    """
    return source_of(base).module(base, store, device, load_weights=load_weights)


def example_inputs(
    base: Base, batch: int = 2, device: "torch.device | str" = "meta"
) -> "tuple[Tensor | list[Tensor], ...]":
    """Arguments of one forward pass, zeros.

    x_NCHW for pictures, x_NCTHW for video, two x_NCHW for optical flow, and a list
    of x_CHW for detection.
    """
    import torch

    shape = input_shape(base)
    x_NCHW = torch.zeros(batch, *shape, device=device)
    kind = task(base)
    if kind == "detection":
        return (list(x_NCHW.unbind()),)
    return (x_NCHW, x_NCHW.clone()) if kind == "optical_flow" else (x_NCHW,)


def task(base: Base) -> str:
    """The task as the catalogue names it, such as "classification", or "unknown"."""
    return source_of(base).task(base)


def input_shape(base: Base) -> tuple[int, ...]:
    """Shape of one example without the batch, such as (3, 224, 224)."""
    return source_of(base).input_shape(base)


def class_names(base: Base) -> tuple[str, ...]:
    """Names of the classes that the pretrained weights know; () when unknown."""
    return source_of(base).class_names(base)


def preprocessing(base: Base) -> Preprocessing:
    """The preprocessing that turns pictures into input for this base."""
    return source_of(base).preprocessing(base)


def plain(base: Base) -> Plain:
    """The plain code that makes the base's module. Raises OnlyDrawn and CannotExport."""
    return source_of(base).plain(base)


def document(base: Base) -> "Format | None":
    """The format of the base's own file, where Netron can be shown that; else None."""
    return source_of(base).document(base)


def trained(base: Base) -> bool:
    """True if the base has weights that somebody trained."""
    return source_of(base).trained(base)


def on_disk(base: Base) -> bool:
    """True if the weights are on this machine; False for random ones, which nobody keeps."""
    return source_of(base).on_disk(base)


def learned(recipe: Recipe) -> bool:
    """True if a model has weights that somebody trained, and they are on this machine."""
    return recipe.training is not None or on_disk(recipe.base)


def fetch(base: Base) -> None:
    """Make sure that the weights of a base are on this machine. Raises WeightsUnavailable."""
    found = source_of(base)
    if found.downloads(base):
        for _ in found.download(base):
            pass


def prefetch(base: Base, asked: str) -> tuple[str, Iterator[Progress]]:
    """The name of a base's weights, and their download; `asked` is what the user typed.

    Raises InvalidValue where there is nothing to download.
    """
    found = source_of(base)
    if not found.downloads(base):
        expected = Message("a name of the zoo that has pretrained weights, such as resnet50")
        raise InvalidValue(name="model", value=asked, expected=expected)
    return str(base), found.download(base)
