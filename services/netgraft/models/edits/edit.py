"""The base class of edits, and how edits are found. Knows no single edit, and imports no torch."""

import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.models.answering import Answering
from netgraft.models.drawn import Draw, must_fit

if TYPE_CHECKING:
    from torch import Tensor, nn

GROUP = "netgraft.edits"
"""Entry points of packages that bring edits: each names the module that defines them."""

NAMED = 8
"""Paths that a description names; of more it says how many there are."""

Deltas = Callable[[str], "Mapping[str, Tensor]"]
"""Gives the tensors of a delta by its name. Raises FileNotFoundError where they are lost."""


@dataclass(frozen=True)
class Training:
    """The tuning job that gave a model its weights."""

    job: str
    metrics: tuple[tuple[str, float], ...] = ()
    """What it measured at its end, by name."""
    answering: Answering | None = None
    """How it asked the model; None for jobs of versions that did not store it."""


@dataclass(frozen=True)
class Changes:
    """The changes that an edit makes to a model, as far as others ask.

    The defaults are those of an edit of which nothing is known: the model is traced again.
    None means that a thing stays as it was before the edit.
    """

    draw: Draw | None = None
    """New tensors that start by a formula."""
    delta: str = ""
    """Name of stored tensors; "" where there are none."""
    moves_heads: bool = True
    """Whether heads and outputs may be others: the model is traced again."""
    flops: bool = True
    """Whether the operations of a forward pass may be others."""
    retarget: bool = True
    """Whether a retarget may do something else to the model than before the edit."""
    heads: tuple[str, ...] | None = None
    """Paths of the layers that tell classes apart, where the edit made them."""
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    """In index order; () where the new classes have no names."""
    loss: str | None = None
    training: Training | None = None
    adapters: bool = False
    """Whether small adapters train beside layers that do not."""
    title: Message | None = None
    """What a model's title says of it, beside its classes, its loss and whether it was tuned."""


@dataclass(frozen=True)
class Code:
    """Plain PyTorch code: statements about `model`, and the definitions that they need."""

    lines: Sequence[str] = ()
    definitions: Mapping[str, str] = field(default_factory=dict)
    """Text by the name that it defines; a later edit's takes the place of an earlier one's."""


class Names(tuple[str, ...]):
    """Names in a description: a card writes each as code, a text has commas between them."""

    __slots__ = ()

    def __str__(self) -> str:
        return ", ".join(self)

    def __format__(self, _spec: str) -> str:
        return str(self)


class Edit(ABC):
    """One step of a recipe. Subclasses are frozen dataclasses with a constant `op`.

    A field's types say how it is read back from JSON (see `stored`). A subclass is known by its
    `op` as soon as it is defined. The values of a model's tensors follow from `changes` alone
    (its draw, its delta), so that few of them can be read without building the model.
    """

    op: ClassVar[str]
    """What the canonical form calls it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        known = _KINDS.setdefault(cls.op, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            raise TypeError(f"two edits are called {cls.op!r}: {known!r} and {cls!r}")
        _KINDS[cls.op] = cls

    @property
    @abstractmethod
    def changes(self) -> Changes:
        """The changes that it makes to a model."""

    @abstractmethod
    def describe(self) -> Message:
        """One line for people, without a full stop; text values in it are names."""

    @abstractmethod
    def restructure(self, module: "nn.Module") -> "nn.Module":
        """The module with the edit's structure, changed in place; new tensors are 0.

        It must work on meta too. What it returns is the module to use from now on.
        """

    @abstractmethod
    def code(self, model: "nn.Module") -> Code:
        """Code that does what `restructure` did to `model`, which has the edit already."""

    def apply(self, module: "nn.Module", deltas: Deltas) -> "nn.Module":
        """The module with the edit's structure and values.

        Raises TooLarge, and FileNotFoundError where a delta is lost.
        """
        from netgraft.models.initialise import fill, load_delta

        changes = self.changes
        if changes.draw:
            must_fit(changes.draw.tensors)
        module = self.restructure(module)
        if changes.draw:
            fill(module, changes.draw)
        if changes.delta:
            load_delta(module, deltas(changes.delta))
        return module

    # What becomes of the names and values of tensors

    def name_after(self, name: str) -> str:
        """The name after the edit of a tensor that had `name` before; "" where it is gone."""
        return name

    def name_before(self, name: str) -> str:
        """The name before the edit of a tensor that now has `name`; "" where it is new."""
        return name

    def drawn(self, before: Iterable[str]) -> frozenset[str]:
        """Names of the drawn tensors after the edit, given those of `before` it."""
        kept = frozenset(filter(None, map(self.name_after, before)))
        draw = self.changes.draw
        return kept | draw.names if draw else kept

    def draw_tensors(
        self, names: Iterable[str], before: "Callable[[Iterable[str]], Mapping[str, Tensor]]"
    ) -> "dict[str, Tensor]":
        """The tensors of these names that the edit draws, on the CPU; all of them are its draw's.

        `before` gives tensors by name as they were before the edit. Raises TooLarge.
        """
        from netgraft.models.initialise import draw_tensors

        draw = self.changes.draw
        return draw_tensors(draw, names) if draw else {}


_KINDS: dict[str, type[Edit]] = {}


def kind(op: str) -> type[Edit]:
    """The class of the edits that are called `op`. Raises NotPossible where no package has it."""
    for find in (_import_ours, _import_others):
        if op not in _KINDS:
            find()
    if op not in _KINDS:
        problem = Message(
            "this netgraft knows no edit {op}. Update it, or install the package that brings it.",
            op=repr(op),
        )
        raise NotPossible(problem=problem)
    return _KINDS[op]


def _import_ours() -> None:
    for each in pkgutil.iter_modules([str(Path(__file__).parent)]):
        import_module(f"{__package__}.{each.name}")


def _import_others() -> None:
    from importlib.metadata import entry_points  # slow to import, and rarely needed

    for each in entry_points(group=GROUP):
        each.load()


def layers_named(paths: Sequence[str]) -> Message | Names:
    """Paths of layers for a description; "" is the whole model."""
    whole = Message("the whole model")
    if tuple(paths) == ("",):
        return whole
    named = Names(path or whole for path in paths[:NAMED])
    if rest := len(paths) - len(named):
        return Message("{named} and {rest} more", named=named, rest=rest)
    return named
