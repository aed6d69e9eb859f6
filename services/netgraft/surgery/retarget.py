"""New heads for another number of classes, at the cost of the heads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import InvalidClasses, InvalidValue
from netgraft.language import Message
from netgraft.models.drawn import must_fit
from netgraft.models.edits.retarget import Retarget
from netgraft.models.recipe import HeadEdit, Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.initial import draw_heads
from netgraft.surgery.means import means_of
from netgraft.surgery.operations import operation
from netgraft.surgery.symbolic import foretold, tried_alone
from netgraft.surgery.trial import planned
from netgraft.surgery.warm import Start, Warm, copies, has_heads, matched

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages

MOST_CLASSES = 1_000_000
LONGEST_NAME = 256
"""Characters of a class's name."""
DEFAULT = Start()


@dataclass(frozen=True)
class Grafted(Facts):
    """The facts of an edit that makes new heads."""

    edit: Retarget
    background: bool
    """Whether the model is a detector, with a background besides the classes."""
    warm: Warm
    """Which classes keep their weights, and why others do not."""

    @property
    def heads(self) -> tuple[HeadEdit, ...]:
        return self.edit.heads

    @property
    def kept(self) -> tuple[tuple[str, str], ...]:
        return self.edit.kept

    def sentences(self, messages: "Messages") -> list[str]:
        classes = self.edit.classes
        heads = [str(head) for head in self.heads]
        background = [messages.background(classes)] if self.background else []
        return [*heads, *background, *messages.kept(self.kept, classes, self.warm)]


@operation("retarget")
def retarget(
    recipe: Recipe,
    classes: int,
    class_names: Sequence[str],
    anatomies: Anatomies,
    start: Start = DEFAULT,
) -> Edited:
    """The recipe with heads for `classes` classes; it is stored, its new tensors as a formula.

    A detector keeps its background, class 0, besides these. Classes whose names the model
    knows keep their weights, where it has learned ones; `start` says more. How the heads start
    follows from the recipe, the classes and `start` alone, so that the same edit gives the
    same id. Raises InvalidClasses, InvalidValue, UnknownClass, TooLarge and SurgeryFailed,
    and stores nothing then.
    """
    names = checked_names(class_names)
    count = checked_classes(classes, names)
    before = anatomies.of(recipe).trace
    warm = matched(recipe, names, start, before)
    plan = replace(planned(recipe, before, count, names), init=start.init)
    known = foretold(recipe, count, anatomies)
    trial = known or tried_alone(recipe, plan, anatomies)
    means = means_of(trial, start.means, anatomies.store) if start.means else {}
    draw = draw_heads(trial, plan, recipe, without=means.keys())
    must_fit(draw.tensors)
    kept = warm if has_heads(recipe, before, anatomies.store, warm) else Warm()
    edit = replace(
        plan,
        patches=trial.patches,
        tensors=anatomies.store.put_tensors(means) if means else "",
        kept=tuple(each.names for each in kept.kept),
        draw=draw,
        copies=copies(kept, before, trial.anatomy.trace),
    )
    edited = recipe.with_edit(edit)
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, trial.anatomy, in_store=known is None)
    return Edited(edited, Grafted(edit, trial.anatomy.trace.detector, warm))


def checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names without spaces around them. Raises InvalidValue."""
    names = tuple(name.strip() for name in class_names)
    if not all(names):
        expected = Message("every class needs a name")
        raise InvalidValue(name="class_names", value=Message("empty"), expected=expected)
    if longest := max((name for name in names if len(name) > LONGEST_NAME), key=len, default=""):
        expected = Message("at most {most} characters for each name", most=LONGEST_NAME)
        raise InvalidValue(name="class_names", value=repr(longest[:40] + "…"), expected=expected)
    if len(set(names)) != len(names):
        repeated = next(name for name, times in Counter(names).items() if times > 1)
        expected = Message("each class has a name of its own")
        value = Message("{name!r} twice", name=repeated)
        raise InvalidValue(name="class_names", value=value, expected=expected)
    return names


def checked_classes(classes: int, names: Sequence[str]) -> int:
    """The number of classes that is asked for. Raises InvalidClasses and InvalidValue."""
    count = classes or len(names)
    if not 1 <= count <= MOST_CLASSES:
        raise InvalidClasses(classes=f"{count:,}")
    if names and len(names) != count:
        expected = Message("as many names as classes, which are {count:,}", count=count)
        value = Message("{count:,} names", count=len(names))
        raise InvalidValue(name="class_names", value=value, expected=expected)
    return count
