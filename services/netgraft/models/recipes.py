"""Recipes in the store: a row becomes a recipe, a recipe and its ancestors become rows."""

from collections.abc import Sequence

from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.store.tables import RecipeRow


def put_recipe(store: Store, recipe: Recipe, notices: Sequence[str] = ()) -> str:
    """Store a recipe and its ancestors; returns its id. Storing it again changes nothing."""
    if store.has_row(recipe.id):
        return recipe.id
    parent_id = put_recipe(store, recipe.parent) if recipe.edits else None
    store.put_row(recipe.id, parent_id, recipe.canonical(), notices)
    return recipe.id


def get_recipe(store: Store, model_id: str) -> Recipe:
    """The recipe of an id or of a unique prefix (at least 8 digits). Raises UnknownModel."""
    return recipe_of(store, store.get_row(model_id))


def recipe_of(store: Store, row: RecipeRow) -> Recipe:
    """The recipe that a row holds."""
    return Recipe.from_json(store.canonical(row))
