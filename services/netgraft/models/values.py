"""Values of a few tensors of a recipe's model, read without building the model."""

from collections.abc import Iterable, Mapping

from torch import Tensor

from netgraft.models.build import APPENDED_TO
from netgraft.models.recipe import Base, Edit, Recipe, Replace, Retarget, Tuned, delta
from netgraft.models.source import source
from netgraft.models.store import Store


def learned(recipe: Recipe) -> bool:
    """Whether the model has weights that somebody trained, and they are on this machine."""
    base = recipe.base
    if base.file is not None or any(recipe.edits_of(Tuned)):
        return True
    return base.weights is not None and source(base.source).on_disk(base)


def values(recipe: Recipe, names: Iterable[str], store: Store) -> dict[str, Tensor]:
    """The tensors of these names in the model, on the CPU; those that only chance fills lack.

    Each is read from the newest part of the recipe that holds it. Raises WeightsUnavailable
    and FileNotFoundError.
    """
    wanted = {name: name for name in names}  # name in the part that is looked at → name asked for
    found: dict[str, Tensor] = {}
    for edit in reversed(recipe.edits):
        if digest := delta(edit):
            held = store.get_some_tensors(digest, wanted)
            found |= {wanted.pop(name): value for name, value in held.items()}
        wanted = _before(edit, wanted)
    if wanted:
        base = _of_base(recipe.base, store)
        found |= {asked: base[name].clone() for name, asked in wanted.items() if name in base}
    return found


def _before(edit: Edit, wanted: dict[str, str]) -> dict[str, str]:
    """The names that tensors had before an edit; what it first made is left out."""
    if isinstance(edit, Retarget) and any(head.append for head in edit.heads):
        prefix = f"{APPENDED_TO}."
        return {
            name.removeprefix(prefix): asked
            for name, asked in wanted.items()
            if name.startswith(prefix)
        }
    if isinstance(edit, Replace):
        inside = f"{edit.path}."
        return {name: asked for name, asked in wanted.items() if not name.startswith(inside)}
    return wanted


def _of_base(base: Base, store: Store) -> Mapping[str, Tensor]:
    if base.file is not None:
        from netgraft.models.adoption import values as of_file

        return of_file(base, store)
    return source(base.source).weights(base) if base.weights is not None else {}
