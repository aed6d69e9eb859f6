"""Values of a few tensors of a recipe's model, read or drawn without building the model."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from netgraft.models.drawn import Draw
from netgraft.models.edits.edit import Edit
from netgraft.models.recipe import Base, Recipe
from netgraft.models.source import source_of
from netgraft.store.store import Store

Shape = tuple[int, ...]
T = TypeVar("T")


def values(recipe: Recipe, names: Iterable[str], store: Store) -> dict[str, Tensor]:
    """The tensors of these names in the model, on the CPU; random ones of the base are left out.

    Each comes from the newest part of the recipe that gives it. Raises WeightsUnavailable, TooLarge
    and FileNotFoundError.
    """
    return _gathered(recipe, names, store, _values)


def shapes(recipe: Recipe, names: Iterable[str], store: Store) -> dict[str, Shape]:
    """As `values`, shapes alone: nothing is drawn and no delta is read."""
    return _gathered(recipe, names, store, _shapes)


def drawn_names(recipe: Recipe) -> frozenset[str]:
    """The tensors of the model that are drawn, and that no training has stored since."""
    names = frozenset[str]()
    for edit in recipe.edits:
        names = edit.drawn(names)
    return names


@dataclass(frozen=True)
class _Part:
    """A part of a recipe, and the names that it is asked for."""

    names: Mapping[str, str]
    """Name in the part → name asked for."""
    holder: Base | Draw | str
    """The base, draw or digest of a delta that gives them."""
    recipe: Recipe
    """The recipe up to the part."""


def _gathered(
    recipe: Recipe,
    names: Iterable[str],
    store: Store,
    read: Callable[[_Part, Store], Mapping[str, T]],
) -> dict[str, T]:
    """Return what `read` gives for each name from its part, in the order of the names."""
    asked_for, found = tuple(names), dict[str, T]()
    for part in _parts(recipe, asked_for, store):
        held = read(part, store)
        found |= {asked: held[name] for name, asked in part.names.items() if name in held}
    return {name: found[name] for name in asked_for if name in found}


def _parts(recipe: Recipe, names: tuple[str, ...], store: Store) -> Iterator[_Part]:
    """The newest part for each name, the base for those that no edit gives."""
    wanted = dict(zip(names, names, strict=True))
    while recipe.edits:
        edit = recipe.edits[-1]
        for holder, held in _given(edit, store):
            if chosen := {name: wanted.pop(name) for name in [*wanted] if name in held}:
                yield _Part(chosen, holder, recipe)
        wanted = _before(edit, wanted)
        recipe = recipe.parent
    if wanted:
        yield _Part(wanted, recipe.base, recipe)


def _given(edit: Edit, store: Store) -> Iterator[tuple[Draw | str, Container[str]]]:
    changes = edit.changes
    if changes.delta:
        yield changes.delta, store.tensor_shapes(changes.delta)
    if changes.draw:
        yield changes.draw, changes.draw.names


def _values(part: _Part, store: Store) -> Mapping[str, Tensor]:
    if isinstance(part.holder, str):
        return store.get_some_tensors(part.holder, part.names)
    if isinstance(part.holder, Base):
        base = source_of(part.holder).values(part.holder, store)
        return {name: base[name].clone() for name in part.names if name in base}
    parent = part.recipe.parent
    return part.recipe.edits[-1].draw_tensors(
        part.names, lambda names: values(parent, names, store)
    )


def _shapes(part: _Part, store: Store) -> Mapping[str, Shape]:
    if isinstance(part.holder, str):
        return store.tensor_shapes(part.holder)
    if isinstance(part.holder, Draw):
        return {tensor.name: tensor.shape for tensor in part.holder.tensors}
    base = source_of(part.holder).values(part.holder, store)
    return {name: tuple(value.shape) for name, value in base.items()}


def _before(edit: Edit, wanted: dict[str, str]) -> dict[str, str]:
    """The names that tensors had before an edit; what it first made is left out."""
    before = ((edit.name_before(name), asked) for name, asked in wanted.items())
    return {name: asked for name, asked in before if name}
