"""Values of a few tensors of a recipe's model, read or drawn without building the model."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from netgraft.models.build import APPENDED_TO
from netgraft.models.drawn import Draw
from netgraft.models.initialise import copy_rows, draw_tensors
from netgraft.models.recipe import Base, Edit, Lora, Recipe, Replace, Retarget, Tuned, delta, draw
from netgraft.models.source import source_of
from netgraft.store.store import Store

Shape = tuple[int, ...]
T = TypeVar("T")

ADAPTED = ".base_layer"
"""Where PEFT puts the tensors of a layer that has an adapter; see `lora`."""


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
    names: set[str] = set()
    for edit in recipe.edits:
        names = {_renamed(name, edit) for name in names if not _dropped(name, edit)}
        if isinstance(edit, Tuned):
            names.clear()
        elif drawn := draw(edit):
            names |= drawn.names
    return frozenset(names)


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
    """What `read` returns for each name from the part that gives it; in the order of the names."""
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
    if digest := delta(edit):
        yield digest, store.tensor_shapes(digest)
    if drawn := draw(edit):
        yield drawn, drawn.names


def _values(part: _Part, store: Store) -> Mapping[str, Tensor]:
    if isinstance(part.holder, str):
        return store.get_some_tensors(part.holder, part.names)
    if isinstance(part.holder, Base):
        base = source_of(part.holder).values(part.holder, store)
        return {name: base[name].clone() for name in part.names if name in base}
    tensors = draw_tensors(part.holder, part.names)
    edit = part.recipe.edits[-1]
    if isinstance(edit, Retarget) and edit.copies:
        copy_rows(tensors, values(part.recipe.parent, tensors, store), edit)
    return tensors


def _shapes(part: _Part, store: Store) -> Mapping[str, Shape]:
    if isinstance(part.holder, str):
        return store.tensor_shapes(part.holder)
    if isinstance(part.holder, Draw):
        return {tensor.name: tensor.shape for tensor in part.holder.tensors}
    base = source_of(part.holder).values(part.holder, store)
    return {name: tuple(value.shape) for name, value in base.items()}


def _before(edit: Edit, wanted: dict[str, str]) -> dict[str, str]:
    """The names that tensors had before an edit; what it first made is left out."""
    if _appends(edit):
        prefix = f"{APPENDED_TO}."
        return {
            name.removeprefix(prefix): asked
            for name, asked in wanted.items()
            if name.startswith(prefix)
        }
    if isinstance(edit, Lora):
        return {_plain(name, edit): asked for name, asked in wanted.items()}
    return {name: asked for name, asked in wanted.items() if not _dropped(name, edit)}


def _plain(name: str, edit: Lora) -> str:
    """The name before adapters came of a tensor that is now one level down."""
    layer, _, parameter = name.rpartition(".")
    adapted = layer.removesuffix(ADAPTED)
    return f"{adapted}.{parameter}" if adapted != layer and adapted in edit.layers else name


def _dropped(name: str, edit: Edit) -> bool:
    """Whether an edit takes a tensor of that name away, or puts another in its place."""
    return isinstance(edit, Replace) and name.startswith(f"{edit.path}.")


def _renamed(name: str, edit: Edit) -> str:
    """The name after an edit of a tensor that had `name` before."""
    if _appends(edit):
        return f"{APPENDED_TO}.{name}"
    layer, _, parameter = name.rpartition(".")
    if isinstance(edit, Lora) and layer in edit.layers:
        return f"{layer}{ADAPTED}.{parameter}"
    return name


def _appends(edit: Edit) -> bool:
    return isinstance(edit, Retarget) and any(head.append for head in edit.heads)
