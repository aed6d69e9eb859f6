"""Tries a retarget on meta tensors: applies it, patches class counts, runs it, verifies it."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import nn

from netgraft.errors import SurgeryFailed
from netgraft.models.build import apply_structure, build
from netgraft.models.recipe import OwnerPatch, Recipe, Retarget
from netgraft.models.store import Store
from netgraft.surgery.anatomy import FORWARD_ERRORS, Anatomy, first_line, look, measure
from netgraft.surgery.heads import Trace
from netgraft.surgery.verify import breach


@dataclass(frozen=True)
class Trial:
    """An edit that did what it should."""

    edit: Retarget
    """With its patches, still without its tensors."""
    module: nn.Module
    """The edited module, on meta."""
    anatomy: Anatomy


def total_classes(classes: int, seen: Trace) -> int:
    """Classes that the heads tell apart: a detector's class 0 is the background."""
    return classes + 1 if seen.detector else classes


def tried(recipe: Recipe, edit: Retarget, before: Trace, store: Store) -> Trial:
    """The edit with the patches that its model needs. Raises SurgeryFailed.

    Attributes that say by their name that they count classes are always patched.
    Where the model still does not run as it should, another attribute of the same
    value is its count under another name (SSD keeps it as `num_columns`): one after
    the other is tried, the nearest to the head first.
    """
    module = build(recipe, store, device="meta")
    _must_be_plain(recipe, edit, module)
    named, others = _counts(module, edit, before)
    edit = replace(edit, patches=named)
    module = _applied(recipe, edit, module)
    problem, after = _verified(recipe, edit, module, before)
    first_problem = problem
    while problem and others:
        patch = others.pop(0)
        owner = module.get_submodule(patch.path)
        old = getattr(owner, patch.attribute)
        setattr(owner, patch.attribute, patch.value)
        problem, after = _verified(recipe, edit, module, before)
        if problem:
            setattr(owner, patch.attribute, old)
        else:
            edit = replace(edit, patches=(*named, patch))
    if problem or after is None:
        raise SurgeryFailed(model=recipe.title, problem=first_problem)
    return Trial(edit, module, measure(module, after))


def _must_be_plain(recipe: Recipe, edit: Retarget, module: nn.Module) -> None:
    """Raise SurgeryFailed where a head is more than one weight and at most a bias."""
    for head in edit.heads:
        if head.append:
            continue
        names = {name for name, _ in module.get_submodule(head.path).named_parameters()}
        if "weight" not in names or not names <= {"weight", "bias"}:
            problem = f"{head.path or 'its head'} ({head.type}) is no plain layer."
            raise SurgeryFailed(model=recipe.title, problem=problem)


def _applied(recipe: Recipe, edit: Retarget, module: nn.Module) -> nn.Module:
    try:
        return apply_structure(module, edit)
    except FORWARD_ERRORS as error:
        problem = f"the new layer cannot be made ({first_line(error)})."
        raise SurgeryFailed(model=recipe.title, problem=problem) from error


def _verified(
    recipe: Recipe, edit: Retarget, module: nn.Module, before: Trace
) -> tuple[str, Trace | None]:
    """What is wrong with the edited module ("" for nothing), and its trace."""
    try:
        after = look(recipe, module)
    except SurgeryFailed as error:
        return str(error.values["problem"]), None
    return breach(before, after, edit.heads, total_classes(edit.classes, before)), after


def _counts(
    module: nn.Module, edit: Retarget, before: Trace
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
