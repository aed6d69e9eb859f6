"""A retarget tried once for every class count: the count is a symbol.

PyTorch's symbolic shapes run the edited model with a class count that is no number. What
comes out is the shape of each output as a function of the count, and each condition on the
count that the model's code asked about on its way (the guards). Whatever count keeps these
takes the same way through the model, so its trial is known without running anything: a
retarget then costs what its head costs, however large the model is. Counts that break a
guard, and models whose code PyTorch cannot follow so, are tried on their own (`trial`).

Keeps the results of such a run and reads them without torch; the run itself is in `symbols`.
"""

import json
import operator
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any

from netgraft.anatomy.anatomy import KIND, Anatomies, Anatomy, from_document
from netgraft.models.edits.retarget import OwnerPatch, Retarget
from netgraft.models.recipe import Recipe
from netgraft.models.torch_ready import wait_for_torch
from netgraft.store.memo import Memo
from netgraft.surgery.trial import Blank, Trial, total_classes, tried

HINTS = (5, 13, 211)
"""Counts, background included, that stand for few, some and many: code that branches on the
count, as detectors do to keep at most 1,000 boxes, goes one way or another."""

RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True)
class Guard:
    """`times` · count + `plus` stands in `relation` to 0."""

    times: int
    plus: int
    relation: str

    def holds(self, count: int) -> bool:
        return RELATIONS[self.relation](self.times * count + self.plus, 0)


@dataclass(frozen=True)
class Symbolic:
    """The trial of every class count that keeps the guards."""

    guards: tuple[Guard, ...]
    document: dict[str, Any] | None
    """A `Trial` as JSON has it; a number that follows the count is {"times": …, "plus": …}.

    None where the model's code wants the count as a number: no hint proves anything then.
    """

    def at(self, count: int) -> Trial | None:
        """The trial of one count, background included; None where a guard says no."""
        if self.document is None or not all(guard.holds(count) for guard in self.guards):
            return None
        return _trial(_at(self.document, count))


def foretold(recipe: Recipe, classes: int, anatomies: Anatomies) -> Trial | None:
    """The trial of a retarget to `classes` classes; None where no symbolic run covers it."""
    # The root's outputs are this recipe's. Asked for its own anatomy, each of a long line of
    # retargets would first ask for its parent's.
    root = _root(recipe)
    before = anatomies.of(root).trace
    for hint in HINTS:
        known = _known(root, hint, anatomies)
        if known and known.document is None:
            return None
        if known and (found := known.at(total_classes(classes, before))):
            return found
    return None


def tried_alone(recipe: Recipe, edit: Retarget, anatomies: Anatomies) -> Trial:
    """The same, found out for this one count. Raises SurgeryFailed."""
    from netgraft.models.build import build

    before = anatomies.of(recipe).trace
    return tried(recipe, edit, before, build(recipe, anatomies.store, device="meta"))


class Foresight(Anatomies):
    """Anatomies that takes a retargeted model's from the symbolic run, without a trace."""

    def of(self, recipe: Recipe) -> Anatomy:
        if not self.remembers(recipe) and (found := self._foretold(recipe)):
            self.remember(recipe, found, in_store=False)
            return found
        return super().of(recipe)

    def _foretold(self, recipe: Recipe) -> Anatomy | None:
        last = recipe.edits[-1] if recipe.edits else None
        if not isinstance(last, Retarget):
            return None
        trial = foretold(recipe.parent, last.classes, self)
        return trial.anatomy if trial else None


def _root(recipe: Recipe) -> Recipe:
    """The oldest ancestor that answers to a class count as this recipe does."""
    while recipe.edits and not recipe.edits[-1].changes.retarget:
        recipe = recipe.parent
    return recipe


def _known(recipe: Recipe, hint: int, anatomies: Anatomies) -> Symbolic | None:
    """The symbolic trial for counts like `hint`, run when it is not remembered."""

    def make() -> Symbolic | None:
        wait_for_torch()
        from netgraft.surgery.symbols import run

        return _symbolic(run(recipe, hint, anatomies))

    return SYMBOLIC.get(anatomies.store, f"{recipe.id}.{hint}", make)


def _symbolic(document: dict[str, Any] | None) -> Symbolic | None:
    if document is None:
        return None
    return Symbolic(tuple(Guard(*guard) for guard in document["guards"]), document["trial"])


def _to_json(value: Symbolic | None) -> bytes:
    document = value and {
        "guards": [astuple(guard) for guard in value.guards],
        "trial": value.document,
    }
    return json.dumps(document, separators=(",", ":")).encode()


SYMBOLIC = Memo[Symbolic | None](
    KIND, "retarget.json", "3", _to_json, lambda data: _symbolic(json.loads(data))
)


def _at(value: Any, count: int) -> Any:
    """A document with the count put in."""
    if isinstance(value, list):
        return [_at(item, count) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"times", "plus"}:
        return value["times"] * count + value["plus"]
    return {key: _at(item, count) for key, item in value.items()}


def _trial(document: dict[str, Any]) -> Trial:
    return Trial(
        patches=tuple(OwnerPatch(**patch) for patch in document["patches"]),
        blanks=tuple(
            Blank(**{**blank, "shape": tuple(blank["shape"])}) for blank in document["blanks"]
        ),
        anatomy=from_document(document["anatomy"]),
    )
