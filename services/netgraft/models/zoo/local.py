"""Models that no zoo has and this house does: files that were opened, and what its jobs trained."""

from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import recipe_of
from netgraft.models.resolve import entry_of, task
from netgraft.models.zoo.catalogue import LOCAL, Entry, by_name
from netgraft.store.store import Store
from netgraft.store.tables import RecipeRow

SHOWN = 12
"""Digits of an id that name it here."""
MOST = 1_000
"""Rows of which the list is made."""


def entries(store: Store) -> list[Entry]:
    """An entry for each, newest first. Its name is how its id begins."""
    of_files = (RecipeRow.last_op == "") & RecipeRow.has_file
    rows = store.newest_rows(of_files | (RecipeRow.last_op == Tuned.op), MOST)
    recipes = (recipe_of(store, row) for row in rows)
    return [_entry(recipe) for recipe in recipes if _is_own(recipe)]


def _is_own(recipe: Recipe) -> bool:
    if recipe.edits:
        return recipe.is_tuned and _is_known(recipe.base)
    of_hub = recipe.base.source == "hf" and "/" in recipe.base.name  # listed as the hub's
    return recipe.base.file is not None and not of_hub and _is_known(recipe.base)


def _is_known(base: Base) -> bool:
    """Whether the zoo still has the structure of a base that was stored long ago."""
    name = base.name if base.source == "torchvision" else f"{base.source}/{base.name}"
    return not base.in_zoo or name in by_name()


def _entry(recipe: Recipe) -> Entry:
    base = recipe.base
    shape = base.file.input_shape if base.file else ()
    return Entry(
        name=recipe.id[:SHOWN],
        source=LOCAL,
        task=task(base),
        params=0,
        accuracy=0.0,
        image_size=entry_of(base).image_size if base.in_zoo else (shape or (0,))[-1],
        weights=(),
        title=recipe.title,
    )
