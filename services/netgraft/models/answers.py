"""What a recipe's model answers with: its preprocessing, and the names of its classes."""

import json
from dataclasses import replace
from typing import Any

from netgraft.models import bases
from netgraft.models.answering import Answering, resized
from netgraft.models.recipe import Recipe
from netgraft.models.zoo.labels import labels

FILE = "netgraft.json"
"""The name of the document inside an exported file that has room for files."""


def answering(recipe: Recipe) -> Answering:
    """Return how a model is asked: as its newest tuning measured it, else as its base expects.

    The temperature is that of the tuned weights: an edit made after tuning takes it away.
    """
    training = recipe.training
    if training is None or training.answering is None:
        expected = bases.preprocessing(recipe.base)
        side = expected.size
        return Answering(side, resized(side), expected.mean, expected.std)
    return training.answering if recipe.is_tuned else replace(training.answering, temperature=1.0)


def class_names(recipe: Recipe, classes: int) -> tuple[str, ...]:
    """The names of a model's `classes` classes, in index order; () where they have none."""
    return labels(recipe, classes, detector=bases.task(recipe.base) == "detection").names


def known_names(recipe: Recipe) -> tuple[str, ...]:
    """As `class_names`, where nobody has counted the model's outputs."""
    classes = recipe.classes or len(recipe.class_names) or len(bases.class_names(recipe.base))
    return class_names(recipe, classes)


def document(recipe: Recipe, **more: Any) -> str:
    """Return what an exported file carries of its model, as JSON; `more` are facts of the file."""
    carried = {
        "model": recipe.id,
        "class_names": known_names(recipe),
        **answering(recipe).plain(),
        **more,
    }
    return json.dumps(carried, ensure_ascii=False, sort_keys=True)
