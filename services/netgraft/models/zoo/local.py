"""Models of this machine that no zoo has: files that were opened, and what its jobs trained."""

from netgraft.models.edits.tuned import Tuned
from netgraft.models.naming import LOCAL, short_id
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import recipe_of
from netgraft.models.source import source_of
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store
from netgraft.store.tables import RecipeRow

MOST = 1_000
"""Rows of which the list is made."""


def entries(store: Store) -> list[Entry]:
    """An entry for each, newest first. Its name is how its id begins."""
    of_files = (RecipeRow.last_op == "") & RecipeRow.has_file
    rows = store.newest_rows(of_files | (RecipeRow.last_op == Tuned.op), MOST)
    recipes = (recipe_of(store, row) for row in rows)
    return [_entry(recipe) for recipe in recipes if _is_own(recipe)]


def _is_own(recipe: Recipe) -> bool:
    found = source_of(recipe.base)
    if recipe.edits:
        return recipe.is_tuned and found.is_known(recipe.base)
    return found.is_own(recipe.base)


def _entry(recipe: Recipe) -> Entry:
    found = source_of(recipe.base)
    return Entry(
        name=short_id(recipe.id),
        source=LOCAL,
        task=found.task(recipe.base),
        params=0,
        accuracy=0.0,
        image_size=found.image_size(recipe.base),
        weights=(),
        title=recipe.title,
    )
