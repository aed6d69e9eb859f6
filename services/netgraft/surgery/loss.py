"""Choosing the loss that training minimises."""

from netgraft.errors import InvalidValue
from netgraft.models import zoo
from netgraft.models.losses import LOSSES, fitting
from netgraft.models.recipe import Recipe, SetLoss
from netgraft.models.store import Store


def set_loss(recipe: Recipe, loss: str, store: Store) -> Recipe:
    """The recipe with another loss; it is stored. Raises InvalidValue."""
    name = loss.strip().lower()
    if name not in LOSSES:
        raise InvalidValue(name="loss", value=repr(loss), expected=f"one of {', '.join(LOSSES)}")
    task = zoo.task(recipe.base)
    fit = fitting(task)
    if name not in fit:
        expected = f"for {task} one of {', '.join(fit)}" if fit else f"nothing: {OWN.format(task)}"
        raise InvalidValue(name="loss", value=name, expected=expected)
    edited = recipe.with_edit(SetLoss(name))
    store.put_recipe(edited)
    return edited


OWN = "models for {} compute their own losses"
