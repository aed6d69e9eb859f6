"""Turn words and module paths into the paths of a Freeze edit."""

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from netgraft.anatomy.anatomy import Anatomies, Anatomy, measure
from netgraft.anatomy.traces import Trace
from netgraft.errors import InvalidValue, UnknownModule
from netgraft.language import Message
from netgraft.models.build import build
from netgraft.models.edits.freeze import Freeze
from netgraft.models.layers.norms import frozen_norms
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.operations import operation

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages

MOST_LAYERS = 10_000
LONGEST_LAYER = 1_000
"""Characters of a path or pattern."""


@dataclass(frozen=True)
class Trains:
    """The share of a model that trains."""

    parameters: int
    of: int
    """Parameters in all."""
    frozen_norms: int
    """Batch norms that keep their running statistics in training."""

    @classmethod
    def seen(cls, anatomy: Anatomy, module: nn.Module) -> "Trains":
        """Of a model with this anatomy; `module` is it, on any device."""
        return cls(anatomy.trainable, anatomy.parameters, len(frozen_norms(module)))


@dataclass(frozen=True)
class Frozen(Facts):
    """The facts of an edit that freezes layers, or trains them again."""

    edit: Freeze
    layers: tuple[str, ...]
    """As they were asked for."""
    now: Trains

    def sentences(self, messages: "Messages") -> list[str]:
        now = self.now
        sizes = (now.parameters, now.of, now.frozen_norms)
        return messages.trainable(self.layers, self.edit.trainable, *sizes)


@operation("freeze")
def set_trainable(
    recipe: Recipe, layers: Sequence[str], trainable: bool, anatomies: Anatomies
) -> Edited:
    """The recipe with the named layers trained or not; it is stored.

    `layers` are paths of modules (or of single parameters), patterns of such paths as a
    shell has them ("layer*", "features.[0-3]", "*.bn1"), and the words "all", "head" (the
    layers that tell classes apart) and "backbone" (all but these). Where a module has such a
    name, the word means that module. Raises InvalidValue and UnknownModule.
    """
    if not layers:
        expected = Message('module paths, or "backbone", "head" or "all"')
        raise InvalidValue(name="layers", value=Message("empty"), expected=expected)
    wanted = dict.fromkeys(layer.strip() for layer in layers)
    if len(wanted) > MOST_LAYERS:
        expected = Message("at most {most:,} of them", most=MOST_LAYERS)
        value = Message("{count:,} layers", count=len(wanted))
        raise InvalidValue(name="layers", value=value, expected=expected)
    module = build(recipe, anatomies.store, device="meta")
    seen = anatomies.of(recipe).trace
    paths = [path for layer in wanted for path in paths_of(layer, module, seen)]
    edit = Freeze(tuple(dict.fromkeys(paths)), trainable)
    edited = recipe.with_edit(edit)
    put_recipe(anatomies.store, edited)
    module = edit.restructure(module)
    now = measure(module, seen)
    anatomies.remember(edited, now)
    return Edited(edited, Frozen(edit, tuple(layers), Trains.seen(now, module)))


def paths_of(layer: str, module: nn.Module, seen: Trace) -> list[str]:
    """Paths that one word, path or pattern means; "" is the whole model. Raises UnknownModule."""
    parts = [*module.named_modules(remove_duplicate=False), *module.named_parameters()]
    known = dict.fromkeys(name for name, _ in parts if name)
    if layer in known:
        return [layer]
    if len(layer) <= LONGEST_LAYER and (matched := _outermost(fnmatch.filter(known, layer))):
        return matched
    heads = [head.path for head in seen.heads if head.classes]
    match layer.lower():
        case "all":
            return [""]
        case "head" if heads:
            return heads
        case "backbone":
            return list(_outside(module, "", set(heads)))
    raise UnknownModule(path=layer, nearest=", ".join(nearest(layer, sorted(known))))


def _outermost(paths: Sequence[str]) -> list[str]:
    """Those paths that lie within no other of them."""
    among = set(paths)
    return [path for path in paths if among.isdisjoint(_owners(path))]


def _owners(path: str) -> Iterator[str]:
    """The paths of all modules that a path lies in: a.b and a, for a.b.c."""
    while path := path.rpartition(".")[0]:
        yield path


def _outside(module: nn.Module, path: str, heads: set[str]) -> Iterator[str]:
    """The largest parts of a module that hold parameters and no head."""
    if path in heads:
        return
    holds_head = any(not path or head.startswith(f"{path}.") for head in heads)
    if path and not holds_head:
        if next(module.parameters(), None) is not None:
            yield path
        return
    prefix = f"{path}." if path else ""
    for name, _ in module.named_parameters(recurse=False):
        yield prefix + name
    for name, child in module.named_children():
        yield from _outside(child, prefix + name, heads)
