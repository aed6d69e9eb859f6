"""What training did to each parameter of a model."""

from netgraft.graph.lens import Change
from netgraft.models.recipe import Recipe
from netgraft.store import gradients
from netgraft.store.store import Store


def changes(recipe: Recipe, store: Store) -> dict[str, Change]:
    """By parameter, what the last training of the recipe did; {} when it was never trained.

    Reads the weights from before and after. Raises WeightsUnavailable.
    """
    from netgraft.models.build import build

    while recipe.edits and not recipe.is_tuned:
        recipe = recipe.parent
    if not recipe.edits:
        return {}
    norms = gradients.read(store, recipe.id)
    before, after = (dict(build(r, store).named_parameters()) for r in (recipe.parent, recipe))
    found = {}
    for name, parameter in before.items():
        old, new = (p.detach().double() for p in (parameter, after[name]))
        moved, size = float((new - old).square().sum()), float(old.square().sum())
        found[name] = Change(moved, size, norms.get(name))
    return found
