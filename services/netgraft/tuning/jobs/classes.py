"""Which output of a model each class of a data set is: by name, never by position alone."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from netgraft.anatomy.standin import StandIn
from netgraft.errors import HeadMismatch, NotPossible, OtherClasses
from netgraft.language import Message
from netgraft.models.answers import class_names
from netgraft.models.naming import short_id
from netgraft.models.recipe import Recipe
from netgraft.models.zoo.labels import normal
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.tasks.classification import TASK

NAMED = 8
"""Names that a sentence lists."""
REFUSALS = (RuntimeError, AssertionError, ValueError, IndexError, TypeError)
"""Errors that models raise for an input that they do not accept."""


def outputs(
    module: nn.Module, side: int, model: str, classes: Callable[[Any], int] = TASK.classes
) -> int:
    """Return the number of classes in the output of a module on meta. Raises NotPossible."""
    x_NCHW = torch.zeros(2, 3, side, side, device="meta")
    try:
        with torch.no_grad(), StandIn():
            return classes(module.eval()(x_NCHW))
    except REFUSALS as error:
        problem = Message("{model} takes no pictures of {side} × {side} pixels.", model=model,
                          side=side)  # fmt: skip
        raise NotPossible(problem=problem) from error


def matched(recipe: Recipe, classes: int, manifest: Manifest) -> tuple[int, ...]:
    """The model's output for each class of the data, in the data's order.

    Names are compared as they are, then without case and with "_" read as a space. A model whose
    classes have no names is taken to have the data's, in their order. Raises HeadMismatch and
    OtherClasses.
    """
    own, data = class_names(recipe, classes), manifest.class_names
    if classes != len(data):
        raise HeadMismatch(
            model=shortest(recipe),
            model_classes=classes,
            data=manifest.reference,
            data_classes=len(data),
        )
    if not own:
        return tuple(range(classes))
    for form in (str, normal):
        index = {form(name): output for output, name in enumerate(own)}
        found = [index[form(name)] for name in data if form(name) in index]
        if len(set(found)) == classes:
            return tuple(found)
    raise OtherClasses(
        model=shortest(recipe),
        model_classes=_listed(own),
        data=manifest.reference,
        data_classes=_listed(data),
        names=",".join(data[:NAMED]) + (",…" if len(data) > NAMED else ""),
    )


def shortest(recipe: Recipe) -> str:
    """The shortest text that a user may type for a model."""
    return short_id(recipe.id) if recipe.edits else recipe.base.shown


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:NAMED]) + ("…" if len(names) > NAMED else "")
