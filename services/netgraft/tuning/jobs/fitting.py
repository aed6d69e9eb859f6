"""A model's head and the classes of the data: made to fit, matched by name, or refused."""

from collections.abc import Callable

from netgraft.errors import HeadMismatch, OtherClasses
from netgraft.language import Message
from netgraft.models.answers import class_names
from netgraft.models.recipe import Recipe
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.jobs.classes import matched
from netgraft.tuning.tasks.task import Task

Graft = Callable[[Recipe, tuple[str, ...]], Recipe]
"""Gives a recipe's model a new head for classes of these names."""

CLASSIFIED = "classification"
"""The catalogue's task whose classes are matched by name."""
NAMED = 5
"""Names that a sentence lists."""


def with_head(
    recipe: Recipe, data: Manifest, task: Task, graft: Graft
) -> tuple[Recipe, Message | None]:
    """Give a model of a zoo that nobody has retargeted a head for the data's classes.

    Returns the recipe and what was done, or it as it is and None: a head that somebody made, or
    that came with a file, is never replaced, and one that knows the data's classes stays.
    """
    if CLASSIFIED not in task.models or recipe.has_new_classes or recipe.base.file:
        return recipe, None
    if _knows(recipe, data):
        return recipe, None
    names = data.class_names
    shown = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    done = Message(
        "head {count} classes, {names}: {model}'s own head is for other classes",
        count=len(names),
        names=shown,
        model=recipe.base.name,
    )
    return graft(recipe, names), done


def in_order_of(recipe: Recipe, data: Manifest, task: Task) -> Manifest:
    """The data with their classes in the order of the model's outputs, matched by name.

    Only classification asks for that. Raises HeadMismatch and OtherClasses.
    """
    if CLASSIFIED not in task.models:
        return data
    return data.ordered(matched(recipe, recipe.classes or len(data.class_names), data))


def _knows(recipe: Recipe, data: Manifest) -> bool:
    count = len(data.class_names)
    if not class_names(recipe, count):
        return False
    try:
        matched(recipe, count, data)
    except (HeadMismatch, OtherClasses):
        return False
    return True
