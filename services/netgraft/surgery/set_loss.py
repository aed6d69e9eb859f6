"""Choosing the loss that training minimises."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from netgraft.anatomy.anatomy import Anatomies, example
from netgraft.anatomy.heads import call, tensors_in
from netgraft.errors import InvalidValue
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.edits.set_loss import SetLoss
from netgraft.models.losses.catalogue import LOSSES, fitting
from netgraft.models.losses.outputs import must_fit
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.operations import operation

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages


@dataclass(frozen=True)
class Chosen(Facts):
    """The facts of an edit that chooses a loss."""

    edit: SetLoss

    def sentences(self, messages: "Messages") -> list[str]:
        return [messages.loss(self.edit.loss, LOSSES[self.edit.loss].says)]


@operation("set_loss")
def set_loss(recipe: Recipe, loss: str, anatomies: Anatomies) -> Edited:
    """The recipe with another loss; it is stored.

    Raises InvalidValue where the loss is not one for the task, and LossMismatch where it reads
    logits and the model answers with probabilities.
    """
    name = loss.strip().lower()
    if name not in LOSSES:
        expected = Message("one of {choices}", choices=list(LOSSES))
        raise InvalidValue(name="loss", value=repr(loss), expected=expected)
    task = bases.task(recipe.base)
    fit = fitting(task)
    if name not in fit:
        expected = (
            Message("for {task} one of {choices}", task=task, choices=fit)
            if fit
            else Message("nothing: models for {task} compute their own losses", task=task)
        )
        raise InvalidValue(name="loss", value=name, expected=expected)
    if any(head.activation for head in anatomies.of(recipe).trace.heads):
        must_fit(name, _trained_on(recipe, anatomies), task, recipe.title)
    edit = SetLoss(name)
    edited = recipe.with_edit(edit)
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, anatomies.of(recipe))
    return Edited(edited, Chosen(edit))


def _trained_on(recipe: Recipe, anatomies: Anatomies) -> torch.Tensor:
    """The main output as training sees it: some models squash their logits in evaluation only."""
    module = build(recipe, anatomies.store, device="meta").train()
    with torch.random.fork_rng(devices=[]):
        _, result = call(module, example(recipe))
    return next(tensor for _, tensor in tensors_in(result))
