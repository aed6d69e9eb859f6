"""New heads for another number of classes, at the cost of the heads."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from netgraft.errors import InvalidClasses, InvalidValue
from netgraft.models.recipe import Recipe
from netgraft.surgery.anatomy import Anatomies
from netgraft.surgery.initial import new_tensors
from netgraft.surgery.means import start_from_means
from netgraft.surgery.symbolic import tried_symbolically
from netgraft.surgery.trial import planned
from netgraft.surgery.warm import Start, copy_rows, matched, old_tensors

MOST_CLASSES = 1_000_000
DEFAULT = Start()


def retarget(
    recipe: Recipe,
    classes: int,
    class_names: Sequence[str],
    anatomies: Anatomies,
    start: Start = DEFAULT,
) -> Recipe:
    """The recipe with heads for `classes` classes; its tensors and itself are stored.

    A detector keeps its background, class 0, besides these. Classes whose names the model
    knows keep their weights, where it has learned ones; `start` says more. The new tensors
    follow from the recipe, the classes and `start` alone, so that the same edit gives the
    same id. Raises InvalidClasses, InvalidValue, UnknownClass, TooLarge and SurgeryFailed,
    and stores nothing then.
    """
    names = checked_names(class_names)
    count = checked_classes(classes, names)
    before = anatomies.of(recipe).trace
    warm = matched(recipe, names, start, before)
    plan = replace(planned(recipe, before, count, names), init=start.init)
    trial = tried_symbolically(recipe, plan, anatomies)
    tensors = new_tensors(trial, plan, recipe)
    if start.means:
        start_from_means(tensors, trial, start.means, anatomies.store)
    old = old_tensors(recipe, before, anatomies.store) if warm.kept else {}
    if old:
        copy_rows(tensors, old, before, trial.anatomy.trace, warm)
    kept = tuple(each.names for each in warm.kept) if old else ()
    digest = anatomies.store.put_tensors(tensors)
    edited = recipe.with_edit(replace(plan, patches=trial.patches, tensors=digest, kept=kept))
    anatomies.store.put_recipe(edited)
    anatomies.remember(edited, trial.anatomy)
    return edited


def checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names without spaces around them. Raises InvalidValue."""
    names = tuple(name.strip() for name in class_names)
    if not all(names):
        raise InvalidValue(name="class_names", value="empty", expected="every class needs a name")
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
