"""Warm starts: which classes of a new head keep the weights that the model has for them.

Rows of a head are copied for classes of the same name, or as a person maps them; the
other rows start as `initial` says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from netgraft.anatomy.traces import Trace
from netgraft.errors import InvalidValue, MeansNeeded, UnknownClass
from netgraft.language import Message
from netgraft.models import bases
from netgraft.models.edits.retarget import Copies
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.models.zoo.labels import Labels, labels, normal
from netgraft.store.store import Store

MEANS = "class_means"
INITS = ("library", "zeros", "fresh", MEANS)
WEIGHT = "weight"

Reason = Literal["", "untrained", "unnamed", "unlike"]


@dataclass(frozen=True)
class Start:
    """The initial values of a new head's rows."""

    init: str = "library"
    """ "library": rows of classes that are not kept as torch resets a layer; "zeros": these
    rows 0; "fresh": as "library", and no class is kept; "class_means": all rows from
    `means`."""
    class_map: Mapping[str, str] = field(default_factory=dict)
    """New name → name of the class whose weights it takes, or its place as "#0", "#1", …"""
    means: str = ""
    """Name of the delta that the tuning slice made of a data set; see `means`."""


@dataclass(frozen=True)
class Kept:
    """One class whose weights are kept."""

    new: int
    """Its place among the new classes, a detector's background not counted."""
    old: int
    """Its place among the classes of the model as it was, the background counted."""
    names: tuple[str, str]
    """The name now, and the name before."""


@dataclass(frozen=True)
class Warm:
    """The classes that keep their weights, and why the others do not."""

    kept: tuple[Kept, ...] = ()
    reason: Reason = ""
    """Why none is kept: the weights are not learned, the model's classes have no known
    names, or none of them is like a new one. "": some are kept, or no names were given."""
    ambiguous: tuple[str, ...] = ()
    """New names that several of the model's classes have."""


def matched(recipe: Recipe, names: Sequence[str], start: Start, seen: Trace) -> Warm:
    """Which of the classes `names` the recipe's model knows. Raises InvalidValue, UnknownClass."""
    _check(names, start)
    if start.init in ("fresh", MEANS) or not (names and seen.classes):
        return Warm()
    trained = bases.learned(recipe)
    if not (trained or start.class_map):  # names are read only where they can matter
        return Warm(reason="untrained")
    known = labels(recipe, seen.classes, detector=seen.detector)
    mapped = {
        normal(new): _place(old, known, recipe, seen.classes)
        for new, old in start.class_map.items()
    }
    if not trained:
        return Warm(reason="untrained")
    meant = {
        name: frozenset((mapped[normal(name)],)) if normal(name) in mapped else known.meant(name)
        for name in names
    }
    kept = tuple(
        Kept(new, old, (name, known.names[old] if known.names else f"#{old}"))
        for new, name in enumerate(names)
        if len(meant[name]) == 1
        for old in meant[name]
    )
    ambiguous = tuple(name for name in names if len(meant[name]) > 1)
    return Warm(kept, _why(kept, known), ambiguous)


def _why(kept: Sequence[Kept], known: Labels) -> Reason:
    if kept:
        return ""
    return "unlike" if known.names else "unnamed"


def _check(names: Sequence[str], start: Start) -> None:
    if start.init not in INITS:
        expected = Message("one of {choices}", choices=list(INITS))
        raise InvalidValue(name="init", value=repr(start.init), expected=expected)
    if start.class_map and start.init in ("fresh", MEANS):
        expected = Message("library or zeros, because a class_map says what is kept")
        raise InvalidValue(name="init", value=repr(start.init), expected=expected)
    if bool(start.means) != (start.init == MEANS):
        raise MeansNeeded
    new = {normal(name) for name in names}
    for name in start.class_map:
        if normal(name) not in new:
            near = nearest(name, names)
            expected = (
                Message("a name of class_names, such as {names}", names=near)
                if near
                else Message("give class_names too, which name the new classes")
            )
            raise InvalidValue(name="class_map", value=repr(name), expected=expected)


def _place(old: str, known: Labels, recipe: Recipe, classes: int) -> int:
    """Place of the class that a person means. Raises UnknownClass and InvalidValue."""
    digits = old.strip().removeprefix("#")
    if old.strip().startswith("#") and digits.isdecimal() and int(digits) < classes:
        return int(digits)
    found = known.meant(old)
    if not found:
        near = ", ".join(known.nearest(old)) or "-"
        raise UnknownClass(model=recipe.title, name=old, nearest=near, last=classes - 1)
    if len(found) > 1:
        places = [f"#{place}" for place in sorted(found)]
        expected = Message("one class: several have that name, say one of {places}", places=places)
        raise InvalidValue(name="class_map", value=repr(old), expected=expected)
    return next(iter(found))


# Rows


def has_heads(recipe: Recipe, before: Trace, store: Store, warm: Warm) -> bool:
    """True if the model has the values of all heads whose rows would be kept.

    Raises WeightsUnavailable and FileNotFoundError.
    """
    if not warm.kept:
        return False
    from netgraft.models.values import shapes

    weights = {f"{h.path}.{WEIGHT}": h.out_features for h in before.heads if h.classes}
    found = shapes(recipe, weights, store)
    return all(name in found and found[name][0] == rows for name, rows in weights.items())


def copies(warm: Warm, before: Trace, after: Trace) -> Copies | None:
    """The places of the kept classes' rows; a detector's background, class 0, is kept too."""
    if not warm.kept:
        return None
    first = 1 if after.detector else 0
    pairs = [(kept.new + first, kept.old) for kept in warm.kept]
    if after.detector:
        pairs.append((0, 0))
    return Copies(after.classes, before.classes, tuple(pairs))
