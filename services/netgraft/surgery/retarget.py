"""New heads for another number of classes, at the cost of the heads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from netgraft.anatomy.anatomy import Anatomies
from netgraft.errors import InvalidClasses, InvalidValue
from netgraft.models.drawn import must_fit
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.initial import draw_heads
from netgraft.surgery.means import means_of
from netgraft.surgery.symbolic import foretold, tried_alone
from netgraft.surgery.trial import planned
from netgraft.surgery.warm import Start, Warm, copies, has_heads, matched

MOST_CLASSES = 1_000_000
LONGEST_NAME = 256
"""Characters of a class's name."""
DEFAULT = Start()


def retarget(
    recipe: Recipe,
    classes: int,
    class_names: Sequence[str],
    anatomies: Anatomies,
    start: Start = DEFAULT,
) -> Recipe:
    """The recipe with heads for `classes` classes; it is stored, and its tensors are a formula.

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
    told = foretold(recipe, count, anatomies)
    trial = told or tried_alone(recipe, plan, anatomies)
    means = means_of(trial, start.means, anatomies.store) if start.means else {}
    draw = draw_heads(trial, plan, recipe, without=means.keys())
    must_fit(draw.tensors)
    if not has_heads(recipe, before, anatomies.store, warm):
        warm = Warm()
    edit = replace(
        plan,
        patches=trial.patches,
        tensors=anatomies.store.put_tensors(means) if means else "",
        kept=tuple(each.names for each in warm.kept),
        draw=draw,
        copies=copies(warm, before, trial.anatomy.trace),
    )
    edited = recipe.with_edit(edit)
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, trial.anatomy, in_store=told is None)
    return edited


def checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names without spaces around them. Raises InvalidValue."""
    names = tuple(name.strip() for name in class_names)
    if not all(names):
        raise InvalidValue(name="class_names", value="empty", expected="every class needs a name")
    if longest := max((name for name in names if len(name) > LONGEST_NAME), key=len, default=""):
        expected = f"at most {LONGEST_NAME} characters for each name"
        raise InvalidValue(name="class_names", value=repr(longest[:40] + "…"), expected=expected)
    if len(set(names)) != len(names):
        repeated = next(name for name, times in Counter(names).items() if times > 1)
        expected = "each class has a name of its own"
        raise InvalidValue(name="class_names", value=f"{repeated!r} twice", expected=expected)
    return names


def checked_classes(classes: int, names: Sequence[str]) -> int:
    """How many classes are asked for. Raises InvalidClasses and InvalidValue."""
    count = classes or len(names)
    if not 1 <= count <= MOST_CLASSES:
        raise InvalidClasses(classes=f"{count:,}")
    if names and len(names) != count:
        expected = f"as many names as classes, which are {count:,}"
        raise InvalidValue(name="class_names", value=f"{len(names):,} names", expected=expected)
    return count
