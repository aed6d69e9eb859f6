"""The protocol of a source of models.

To add a source, write a class that derives from `Source` (or from `zoo.library.Library`, for names
of a library) into a module of its own below `sources/`, and run `make catalogue` if it has names to
list. Nothing else names it. A source of another package is given to `register`.

Sources are asked about names before torch is needed: their modules import it inside functions.
"""

import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from netgraft.models import sources as package
from netgraft.models.fetch.http import Progress
from netgraft.models.recipe import Base, Recipe
from netgraft.models.zoo.entry import Entry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from netgraft.models.untrusted.formats import Format
    from netgraft.store.store import Store

Policy = Literal["pretrained", "none", "preferred"]
"""Which weights a name means: its pretrained ones, none, or pretrained ones if available."""


@dataclass(frozen=True)
class Resolved:
    """A recipe, and what a user should know about it."""

    recipe: Recipe
    notices: tuple[str, ...] = ()
    """As `notices.stored` writes them."""


@dataclass(frozen=True)
class Preprocessing:
    """Resize pictures to a side in pixels, then per channel (x / 255 − mean) / std."""

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
    """A place that models come from. Methods that take a Base are only asked about their own."""

    name: ClassVar[str]
    """The name that recipes have for it."""
    last: ClassVar[bool] = False
    """Whether it is asked to read a reference only after all others."""

    # References

    def reads(self, reference: str) -> bool:
        """True if a text that a user typed names a model of this source."""
        return False

    def open(self, reference: str, policy: Policy, store: "Store") -> Resolved:
        """The model that such a text names. Stores no recipe. Raises errors of the tree."""
        raise KeyError(reference)

    def prefetch(self, reference: str, store: "Store") -> tuple[str, Iterator[Progress]]:
        """The name of the weights that such a text means, and their download.

        Raises InvalidValue where there is nothing to download; the download raises
        WeightsUnavailable.
        """
        raise KeyError(reference)

    def reads_folder(self, folder: Path) -> bool:
        """True if a folder holds a model of this source."""
        return False

    def open_folder(self, folder: Path, name: str, store: "Store") -> Resolved:
        """The model in such a folder; `name` is for people. Raises errors of the tree."""
        raise KeyError(name)

    # Listing

    def names(self) -> Iterable[str]:
        """Every name that belongs into the zoo's index, sorted."""
        return ()

    def entry(self, name: str) -> Entry:
        """The entry of such a name, worked out from the library."""
        raise KeyError(name)

    def beside(self) -> Iterable[Entry]:
        """Entries that are listed beside the zoo's index: what is there at this moment."""
        return ()

    def is_own(self, base: Base) -> bool:
        """True if a base is this machine's own: no library and no hub lists it."""
        return False

    def is_known(self, base: Base) -> bool:
        """True if the structure of a base that was stored long ago is still there."""
        return True

    # A base

    def of(self, base: Base) -> "Source":
        """The source that answers for a base of this name; itself, except for special kinds."""
        return self

    def trained(self, base: Base) -> bool:
        """True if the base has weights that somebody trained."""
        return True

    def downloads(self, base: Base) -> bool:
        """True if these weights come over the network, so that `download` can bring them."""
        return False

    def on_disk(self, base: Base) -> bool:
        """True if the weights are on this machine already; False for random ones."""
        return True

    def download(self, base: Base) -> Iterator[Progress]:
        """Bring the weights to this machine, and report the progress. Raises WeightsUnavailable.

        Something is reported also when they were here before.
        """
        return iter(())

    def task(self, base: Base) -> str:
        """The task as the catalogue names it, such as "classification", or "unknown"."""
        return "unknown"

    def input_shape(self, base: Base) -> tuple[int, ...]:
        """Shape of one example without the batch, such as (3, 224, 224)."""

    def image_size(self, base: Base) -> int:
        """Side of the pictures in pixels; 0 where it is not known."""
        return self.input_shape(base)[-1]

    def class_names(self, base: Base) -> tuple[str, ...]:
        """Names of the pretrained classes in index order; () when unknown."""
        return ()

    def preprocessing(self, base: Base) -> Preprocessing:
        """The preprocessing that the weights expect; ImageNet's where the library does not say."""

    def licence(self, base: Base) -> str:
        """Licence of the weights in the library's own words; "" where it does not say."""
        return ""

    def flops(self, base: Base) -> int:
        """Floating-point operations of one example; 0 where they are not known."""
        return 0

    # Taking away

    def library(self) -> str:
        """The library's name on a model card."""
        return self.name

    def stem(self, base: Base) -> str:
        """Beginning of the name of a file that is made from a base."""
        return base.name

    def plain(self, base: Base) -> Plain:
        """The code of a program without netgraft that makes the module of a base.

        Raises OnlyDrawn and CannotExport.
        """

    def document(self, base: Base) -> "Format | None":
        """The format of the user's file that Netron can be shown; None without such a file."""
        return None

    # Building

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        """The module of a base, in training mode.

        On "meta" it costs no memory and needs no weights. Elsewhere, with `load_weights=False`,
        parameters are random, from the base's seed. Raises WeightsUnavailable, OnlyDrawn,
        UnsupportedFile, PackageMissing and FileNotFoundError.
        """

    def values(self, base: Base, store: "Store") -> "Mapping[str, Tensor]":
        """The weights of a base by the names in its module, on the CPU; {} for random ones.

        Raises as `module` does.
        """


# Finding sources

_registered: dict[str, Source] = {}


def sources() -> tuple[Source, ...]:
    """Every source, those that are asked last at the end."""
    every = {**_own(), **_registered}
    return tuple(sorted(every.values(), key=lambda source: (source.last, source.name)))


def source(name: str) -> Source:
    """The source of that name in recipes. Raises KeyError when there is none."""
    return _registered.get(name) or _own()[name]


def source_of(base: Base) -> Source:
    """The source that answers for a base."""
    return source(base.source).of(base)


def register(source: Source) -> None:
    """Add a source from outside of this package, in the place of one of the same name."""
    _registered[source.name] = source


def unregister(name: str) -> None:
    """Take a source away that was registered."""
    del _registered[name]


@cache
def _own() -> dict[str, Source]:
    """The sources below `sources/`, by name: one in each of its modules."""
    found = (_made(info.name, info.ispkg) for info in pkgutil.iter_modules(package.__path__))
    return {source.name: source for source in found}


def _made(name: str, is_package: bool) -> Source:
    module = import_module(f"{package.__name__}.{name}{'.source' if is_package else ''}")
    [kind] = (each for each in vars(module).values() if _is_source_of(each, module.__name__))
    made: Source = kind()
    return made


def _is_source_of(found: Any, module: str) -> bool:
    return isinstance(found, type) and Source in found.__mro__ and found.__module__ == module
