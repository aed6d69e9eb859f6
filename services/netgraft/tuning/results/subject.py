"""A stored model, ready to be asked: built, with its class names."""

from dataclasses import dataclass, replace

import torch

from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.models import answers, bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.jobs.classes import outputs, shortest
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.tasks.classification import TASK


@dataclass(frozen=True)
class Subject:
    """A model of whole pictures, before its weights are read."""

    recipe: Recipe
    store: Store
    classes: int
    """Number of its outputs."""

    def class_name(self, index: int) -> str:
        """The name of an output; its index where it has none."""
        names = answers.class_names(self.recipe, self.classes)
        return names[index] if names else str(index)

    def asker(self) -> Asker:
        """The model with its weights. Raises WeightsUnavailable, TooLarge and NotPossible."""
        bases.fetch(self.recipe.base)
        module = build(self.recipe, self.store)
        found, device = answers.answering(self.recipe), _device()
        if device.type == "cpu" and found.precision == "fp16":  # it was tuned on a GPU
            found = replace(found, precision="fp32")
        return Asker(module, found, device)


def subject_of(recipe: Recipe, store: Store) -> Subject:
    """Judge a model by its structure alone. Raises NotPossible for one of another task."""
    task = bases.task(recipe.base)
    if task not in TASK.models:
        problem = Message(
            "{model} is a model for {task}; only models that tell whole pictures apart are asked "
            "about pictures so far.",
            model=shortest(recipe),
            task=task,
        )
        raise NotPossible(problem=problem)
    module = build(recipe, store, device="meta")
    return Subject(recipe, store, outputs(module, answers.answering(recipe).side, shortest(recipe)))


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
