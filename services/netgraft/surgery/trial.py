"""Tries a retarget on meta tensors: applies it, patches class counts, runs it, verifies it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netgraft.anatomy.anatomy import FORWARD_ERRORS, TASKS, Anatomy, first_line, measure, traced
from netgraft.anatomy.traces import Trace
from netgraft.errors import SurgeryFailed
from netgraft.language import Message, quoted
from netgraft.models import bases
from netgraft.models.edits.retarget import OwnerPatch, Retarget
from netgraft.models.recipe import HeadEdit, Recipe
from netgraft.surgery.verify import breach

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Blank:
    """A parameter of a new head, before it has values."""

    path: str
    """Of the head."""
    name: str
    """In the head: "weight" or "bias"."""
    shape: tuple[int, ...]
    dtype: str
    """Name in torch, such as "float32"."""

    @property
    def full_name(self) -> str:
        return f"{self.path}.{self.name}"

    @property
    def fan_in(self) -> int:
        """Numbers that each output of a weight reads."""
        return math.prod(self.shape[1:])


@dataclass(frozen=True)
class Trial:
    """The results of a retarget that passed verification."""

    patches: tuple[OwnerPatch, ...]
    """Class counts in the model's own attributes that follow."""
    blanks: tuple[Blank, ...]
    anatomy: Anatomy
    """Of the edited model."""


def total_classes(classes: int, seen: Trace) -> int:
    """Classes that the heads tell apart: a detector's class 0 is the background."""
    return classes + 1 if seen.detector else classes


def planned(recipe: Recipe, seen: Trace, count: int, names: tuple[str, ...]) -> Retarget:
    """The edit without its tensors and patches. Raises SurgeryFailed."""
    task = bases.task(recipe.base)
    if task not in TASKS:
        problem = Message("{task} tells no classes apart.", task=task)
        raise SurgeryFailed(model=recipe.title, problem=problem)
    total = total_classes(count, seen)
    heads = tuple(
        HeadEdit(h.path, h.type, h.in_features, h.out_features, h.resized(total), h.role)
        for h in seen.heads
        if h.classes
    )
    return Retarget(count, names, heads or (_append(recipe, seen, total),), (), "")


def _append(recipe: Recipe, seen: Trace, total: int) -> HeadEdit:
    """A Linear behind the pooled features of a model without a head. Raises SurgeryFailed."""
    if seen.heads or seen.detector or not seen.outputs:
        problem = Message("none of its layers tells classes apart in a way that is understood.")
        raise SurgeryFailed(model=recipe.title, problem=problem)
    shape = seen.outputs[-1].shape
    if not 2 <= len(shape) <= 4:
        problem = Message(
            "it has no head, and its features have {count} dimensions.", count=len(shape)
        )
        raise SurgeryFailed(model=recipe.title, problem=problem)
    features = shape[-1] if len(shape) == 3 else shape[1]
    return HeadEdit("", "Linear", features, 0, total, append=True)


def tried(recipe: Recipe, edit: Retarget, before: Trace, module: "nn.Module") -> Trial:
    """An edit, carried out on the recipe's module, which is on meta. Raises SurgeryFailed.

    `edit` is without its tensors and patches.

    Attributes that say by their name that they count classes are always patched.
    Where the model still does not run as it should, another attribute of the same
    value is its count under another name (SSD keeps it as `num_columns`): one after
    the other is tried, the nearest to the head first.
    """
    _must_be_plain(recipe, edit, module)
    named, others = _counts(module, edit, before)
    edit = replace(edit, patches=named)
    module = _applied(recipe, edit, module)
    problem, after = _verified(recipe, edit, module, before)
    first_problem = problem
    patches = named
    while problem and others:
        patch = others.pop(0)
        owner = module.get_submodule(patch.path)
        old = getattr(owner, patch.attribute)
        setattr(owner, patch.attribute, patch.value)
        problem, after = _verified(recipe, edit, module, before)
        if problem:
            setattr(owner, patch.attribute, old)
        else:
            patches = (*named, patch)
    if problem or after is None:
        raise SurgeryFailed(model=recipe.title, problem=first_problem)
    return Trial(patches, _blanks(module, after), measure(module, after))


def _blanks(module: "nn.Module", after: Trace) -> tuple[Blank, ...]:
    from netgraft.surgery.starts import dtype_name

    return tuple(
        Blank(head.path, name, tuple(p.shape), dtype_name(p))
        for head in after.heads
        if head.classes
        for name, p in module.get_submodule(head.path).named_parameters()
    )


def _must_be_plain(recipe: Recipe, edit: Retarget, module: "nn.Module") -> None:
    """Raise SurgeryFailed where a head is more than one weight and at most a bias."""
    for head in edit.heads:
        if head.append:
            continue
        names = {name for name, _ in module.get_submodule(head.path).named_parameters()}
        if "weight" not in names or not names <= {"weight", "bias"}:
            path = head.path or Message("its head")
            problem = Message("{path} ({type}) is not a plain layer.", path=path, type=head.type)
            raise SurgeryFailed(model=recipe.title, problem=problem)


def _applied(recipe: Recipe, edit: Retarget, module: "nn.Module") -> "nn.Module":
    try:
        return edit.restructure(module)
    except FORWARD_ERRORS as error:
        report = quoted(first_line(error))
        problem = Message("the new layer cannot be made ({report}).", report=report)
        raise SurgeryFailed(model=recipe.title, problem=problem) from error


def _verified(
    recipe: Recipe, edit: Retarget, module: "nn.Module", before: Trace
) -> tuple[object, Trace | None]:
    """The problem of the edited module ("" for none), and its trace."""
    try:
        after = traced(recipe, module)
    except SurgeryFailed as error:
        return error.values["problem"], None
    return breach(before, after, edit.heads, total_classes(edit.classes, before)), after


def _counts(
    module: "nn.Module", edit: Retarget, before: Trace
) -> tuple[tuple[OwnerPatch, ...], list[OwnerPatch]]:
    """Attributes that hold the class count: named so, and others of the same value."""
    new = total_classes(edit.classes, before)
    named: list[OwnerPatch] = []
    others: list[OwnerPatch] = []
    for path in _owners(head.path for head in edit.heads if not head.append):
        for attribute, value in vars(module.get_submodule(path)).items():
            if type(value) is int and value == before.classes:
                kind = named if "class" in attribute else others
                kind.append(OwnerPatch(path, attribute, new))
    return tuple(named), others


def _owners(paths: Iterable[str]) -> list[str]:
    """Paths of all modules that hold one of `paths`, the innermost first."""
    owners: dict[str, None] = {}
    for path in paths:
        parts = path.split(".")
        owners |= {".".join(parts[:count]): None for count in range(len(parts))}
    return sorted(owners, key=lambda owner: -len(owner.split(".")) if owner else 0)
