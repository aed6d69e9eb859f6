"""The head that a tuning gives a model: the tuning service knows no surgery, so it gets this."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netgraft.models.recipe import Recipe


def graft(recipe: "Recipe", class_names: tuple[str, ...]) -> "Recipe":
    """The recipe with a new head for classes of these names, stored. Raises as a retarget does."""
    from netgraft.anatomy.anatomy import Anatomies
    from netgraft.store.store import default_store
    from netgraft.surgery.retarget import retarget

    return retarget(recipe, 0, class_names, Anatomies(default_store())).recipe
