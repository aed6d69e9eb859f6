"""A library of models, whose names the zoo lists, as a source."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from netgraft.errors import UnknownModel, WeightsUnavailable
from netgraft.language import Message
from netgraft.models import bases, notices
from netgraft.models.fetch import cached
from netgraft.models.fetch.http import Progress
from netgraft.models.naming import own, spelled
from netgraft.models.recipe import Base, Recipe
from netgraft.models.source import Policy, Resolved, Source
from netgraft.models.zoo.catalogue import by_source
from netgraft.models.zoo.entry import Entry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from netgraft.store.store import Store


class Library(Source):
    """Names with or without pretrained weights. A user's tensors may take their structures.

    A library says how its names are listed, built and read; the rest follows from that.
    """

    @abstractmethod
    def construct(self, base: Base) -> "nn.Module":
        """The module with whatever the constructor initialises it to; loads no weights."""

    def construct_for(self, name: str, classes: int) -> "nn.Module":
        """The module of a name with a head for so many classes.

        Raises TypeError or ValueError where the library takes no class count for it.
        """
        raise TypeError(name)

    def weights(self, base: Base) -> "dict[str, Tensor]":
        """The pretrained state dict of `base.weights`. Raises WeightsUnavailable."""
        raise KeyError(base.name)

    def has_file(self, base: Base) -> bool:
        """True if the library itself finds the weights on this machine."""
        return False

    def variants(self, entry: Entry) -> tuple[str, ...]:
        """Weights of a name that may have a structure of their own."""
        return entry.weights

    # References

    def find(self, name: str) -> Entry | None:
        """The entry of one of the library's own names; None where there is no such name."""
        if listed := by_source().get(self.name):
            return listed.get(name)
        return self.entry(name) if name in self.names() else None

    def reads(self, reference: str) -> bool:
        return self._meant(reference.partition("@")[0]) is not None

    def _meant(self, name: str) -> Entry | None:
        found = own(self.name, spelled(name))
        return self.find(found) if found else None

    def _named(self, reference: str) -> tuple[Entry, str]:
        """The entry that a reference means, and the weights that it asks for, "" for any."""
        name, _, asked = reference.partition("@")
        entry = self._meant(name)
        if entry is None:
            raise UnknownModel(name=name, hint="")
        return entry, asked

    def open(self, reference: str, policy: Policy, store: "Store") -> Resolved:
        """Raises UnknownModel for weights that the name does not have."""
        entry, asked = self._named(reference)
        weights = _weights(entry, asked)
        random = Base(self.name, entry.short, None)
        if weights is None or policy == "none":
            notice = Message("{name} starts from random weights.", name=entry.name)
            return Resolved(Recipe(random), (notices.stored(notice),))
        wanted = replace(random, weights=weights)
        if self.on_disk(wanted):
            return Resolved(Recipe(wanted))
        others = (replace(random, weights=name) for name in entry.weights if not asked)
        if present := next(filter(self.on_disk, others), None):
            notice = Message(
                "{name} uses {present}, which is on this machine; {name}@{wanted} would be "
                "downloaded.",
                name=entry.name,
                present=present.weights,
                wanted=weights,
            )
            return Resolved(Recipe(present), (notices.stored(notice),))
        return _fetched(entry, wanted) if policy == "preferred" else Resolved(Recipe(wanted))

    def prefetch(self, reference: str, store: "Store") -> tuple[str, Iterator[Progress]]:
        entry, asked = self._named(reference)
        return bases.prefetch(Base(self.name, entry.short, _weights(entry, asked)), reference)

    # Listing

    def beside(self) -> Iterable[Entry]:
        """A library that came after the index was written lists its names at once."""
        return () if self.name in by_source() else map(self.entry, self.names())

    def is_known(self, base: Base) -> bool:
        return self.find(base.name) is not None

    def listed(self, base: Base) -> Entry:
        """The entry of a base. Raises UnknownModel where the library has the name no more."""
        entry = self.find(base.name)
        if entry is None:
            raise UnknownModel(name=base.shown, hint="")
        return entry

    # A base

    def of(self, base: Base) -> Source:
        from netgraft.models.zoo.adopted import Adopted

        return Adopted(self) if base.file else self

    def trained(self, base: Base) -> bool:
        return base.weights is not None

    def downloads(self, base: Base) -> bool:
        return base.weights is not None

    def on_disk(self, base: Base) -> bool:
        """Without torch, where the index says which file the weights lie in."""
        if base.weights is None:
            return False
        entry = self.find(base.name)
        if entry and entry.files and base.weights in entry.weights:
            return cached.holds(entry.files[entry.weights.index(base.weights)])
        return self.has_file(base)

    def task(self, base: Base) -> str:
        return self.listed(base).task

    def image_size(self, base: Base) -> int:
        return self.listed(base).image_size

    def flops(self, base: Base) -> int:
        return self.listed(base).flops

    # Building

    def module(
        self,
        base: Base,
        store: "Store | None",
        device: "torch.device | str",
        *,
        load_weights: bool,
    ) -> "nn.Module":
        import torch

        from netgraft.models.weightless import construct_weightless

        if torch.device(device).type == "meta":
            return construct_weightless(lambda: self.construct(base))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(base.seed)
            module = self.construct(base)
        if load_weights and base.weights is not None:
            module.load_state_dict(self.weights(base))
        return module.to(device)

    def values(self, base: Base, store: "Store") -> "Mapping[str, Tensor]":
        return self.weights(base) if base.weights is not None else {}


def _weights(entry: Entry, asked: str) -> str | None:
    """The weights that "NAME@ASKED" means; None for random ones. Raises UnknownModel."""
    if asked.lower() == "none" or not entry.weights:
        return None
    if asked.upper() in ("", "DEFAULT"):
        return entry.weights[0]
    for name in entry.weights:
        if name.lower() == asked.lower():
            return name
    choices = Message("Its weights are {names} or none.", names=", ".join(entry.weights))
    raise UnknownModel(name=f"{entry.name}@{asked}", hint=choices)


def _fetched(entry: Entry, wanted: Base) -> Resolved:
    """The model with its weights; with random ones where they cannot be had."""
    try:
        bases.fetch(wanted)
    except WeightsUnavailable as error:
        notice = Message(
            "{name} starts from random weights: {weights} cannot be had ({problem}).",
            name=entry.name,
            weights=wanted.weights,
            problem=error.values["problem"],
        )
        return Resolved(Recipe(replace(wanted, weights=None)), (notices.stored(notice),))
    return Resolved(Recipe(wanted))
