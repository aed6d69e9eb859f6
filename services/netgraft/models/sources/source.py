"""What netgraft asks of a library of models; the registry of such libraries.

To add a source: write a class with these methods, name it in SOURCES, and run
`make catalogue`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base
from netgraft.models.zoo.catalogue import Entry

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Preprocessing:
    """How pictures become input: side in pixels, then per channel (x / 255 − mean) / std."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Plain:
    """Plain code that makes a module without its weights: what it imports, and its lines.

    The lines bind the module to the name `model`.
    """

    imports: tuple[str, ...]
    lines: tuple[str, ...]


class Source(Protocol):
    """A library of models. Methods take the library's own names through a Base."""

    def names(self) -> Iterable[str]:
        """Every name, sorted."""

    def entry(self, name: str) -> Entry:
        """What the catalogue says of a name."""

    def construct(self, base: Base) -> "nn.Module":
        """The module with whatever the constructor initialises it to; loads no weights."""

    def weights(self, base: Base) -> "dict[str, Tensor]":
        """The pretrained state dict of `base.weights`. Raises WeightsUnavailable."""

    def download(self, base: Base) -> Iterator[Progress]:
        """Bring the weights to this machine, telling how it goes. Raises WeightsUnavailable.

        Something is told also when they were here before.
        """

    def on_disk(self, base: Base) -> bool:
        """Whether the weights are on this machine already."""

    def class_names(self, base: Base) -> tuple[str, ...]:
        """Names of the pretrained classes in index order; () when unknown."""

    def preprocessing(self, base: Base) -> Preprocessing:
        """What the weights expect; ImageNet's constants where the library does not say."""

    def input_shape(self, base: Base) -> tuple[int, ...]:
        """Shape of one example without the batch, such as (3, 224, 224)."""

    def licence(self, base: Base) -> str:
        """Licence of the weights in the library's own words; "" where it does not say."""

    def plain(self, base: Base) -> Plain:
        """The code of a program without netgraft that makes what `construct` makes."""


SOURCES = {
    "torchvision": "netgraft.models.sources.torchvision:TorchvisionSource",
    "timm": "netgraft.models.sources.timm:TimmSource",
    "file": "netgraft.models.sources.file:FileSource",
    "hf": "netgraft.models.sources.huggingface.source:HFSource",
}
"""The libraries by the name that recipes use. Each is imported when first asked for."""


@cache
def source(name: str) -> Source:
    """The library of that name. Raises KeyError when there is none."""
    module, _, kind = SOURCES[name].partition(":")
    made: Source = getattr(import_module(module), kind)()
    return made
