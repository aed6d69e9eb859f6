"""A retarget tried once for every class count: the count is a symbol.

PyTorch's symbolic shapes run the edited model with a class count that is no number. What
comes out is the shape of each output as a function of the count, and each condition on the
count that the model's code asked about on its way (the guards). Whatever count keeps these
takes the same way through the model, so its trial is known without running anything: a
retarget then costs what its head costs, however large the model is. Counts that break a
guard, and models whose code PyTorch cannot follow so, are tried on their own (`trial`).

Knows what such a run told, and reads it without torch; the run itself is in `symbols`.
"""

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netgraft.anatomy.anatomy import Anatomies, Anatomy, from_document
from netgraft.models.edits.retarget import OwnerPatch, Retarget
from netgraft.models.recipe import Recipe
from netgraft.surgery.trial import Blank, Trial, total_classes, tried

FORMAT = 1
"""Raised when what is kept changes: older files are then made anew."""

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
    document: dict[str, Any]
    """A `Trial` as JSON has it; a number that follows the count is {"times": …, "plus": …}."""

    def at(self, count: int) -> Trial | None:
        """The trial of one count, background included; None where a guard says no."""
        if not all(guard.holds(count) for guard in self.guards):
            return None
        return _trial(_at(self.document, count))


def warm() -> None:
    """Import what working on models needs, where that was not done; waits for who does it.

    Torch's parts import each other, some when an operator is first called: two threads that
    began at two ends would meet half-made modules, and torch would stay broken.
    """
    import netgraft.surgery.symbols  # noqa: F401


def foretold(recipe: Recipe, classes: int, anatomies: Anatomies) -> Trial | None:
    """What a retarget to `classes` classes does; None where no run with a symbol says so."""
    # The root's outputs are this recipe's. Asked for its own anatomy, each of a long line of
    # retargets would first ask for its parent's.
    root = _root(recipe)
    before = anatomies.of(root).trace
    for hint in HINTS:
        known = _known(root, hint, anatomies)
        if known and (found := known.at(total_classes(classes, before))):
            return found
    return None


def tried_alone(recipe: Recipe, edit: Retarget, anatomies: Anatomies) -> Trial:
    """The same, found out for this one count. Raises SurgeryFailed."""
    from netgraft.models.build import build

    before = anatomies.of(recipe).trace
    return tried(recipe, edit, before, build(recipe, anatomies.store, device="meta"))


def foretell(recipe: Recipe, anatomies: Anatomies) -> Anatomy | None:
    """The anatomy of a recipe whose last edit is a retarget that was foretold."""
    last = recipe.edits[-1] if recipe.edits else None
    if not isinstance(last, Retarget):
        return None
    trial = foretold(recipe.parent, last.classes, anatomies)
    return trial.anatomy if trial else None


def _root(recipe: Recipe) -> Recipe:
    """The oldest ancestor that answers to a class count as this recipe does."""
    while recipe.edits and not recipe.edits[-1].changes.retarget:
        recipe = recipe.parent
    return recipe


def _known(recipe: Recipe, hint: int, anatomies: Anatomies) -> Symbolic | None:
    """What is known of all counts that are like `hint`; found out when nobody did so before."""

    def make() -> bytes:
        warm()
        from netgraft.surgery.symbols import run

        return json.dumps(run(recipe, hint, anatomies), separators=(",", ":")).encode()

    return anatomies.kept(f"{recipe.id}.{hint}.{FORMAT}.retarget.json", make, _read)


def _read(data: bytes) -> Symbolic | None:
    document = json.loads(data)
    if document is None:
        return None
    guards = tuple(Guard(*guard) for guard in document["guards"])
    return Symbolic(guards, document["trial"])


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
