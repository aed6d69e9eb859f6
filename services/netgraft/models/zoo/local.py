"""Models of this machine that no zoo has: files that were opened, and what its jobs trained."""

from netgraft.models.naming import LOCAL, short_id
from netgraft.models.recipe import Recipe, Tuned
from netgraft.models.source import source_of
from netgraft.models.zoo.entry import Entry
from netgraft.store.store import Store


def entries(store: Store) -> list[Entry]:
    """An entry for each, newest first. Its name is how its id begins."""
    recipes = (store.recipe_of(row) for row in store.own_rows())
    return [_entry(recipe) for recipe in recipes if _is_own(recipe)]


def _is_own(recipe: Recipe) -> bool:
    found = source_of(recipe.base)
    if recipe.edits:
        return isinstance(recipe.edits[-1], Tuned) and found.is_known(recipe.base)
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
