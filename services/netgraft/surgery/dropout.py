"""Dropout before the heads that tell classes apart."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies, look, measure
from netgraft.anatomy.traces import Trace
from netgraft.errors import EditFailed, InvalidValue
from netgraft.models.build import apply_structure, build
from netgraft.models.edits.dropout import can_drop
from netgraft.models.recipe import Dropout, Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.verify import moved

ROLES = ("main", "auxiliary")


def set_dropout(recipe: Recipe, p: float, anatomies: Anatomies) -> Recipe:
    """The recipe whose heads read their input through dropout of probability `p`; it is stored.

    Where the model has an nn.Dropout directly before a head, that one gets `p`; else the head
    gets one of its own. Evaluation answers as before, and no tensor changes its name. Raises
    InvalidValue, and EditFailed where a head cannot take one; nothing is stored then.
    """
    if not (math.isfinite(p) and 0 <= p < 1):
        raise InvalidValue(name="p", value=f"{p:g}", expected="a probability, 0 ≤ p < 1")
    before = anatomies.of(recipe).trace
    module = build(recipe, anatomies.store, device="meta")
    edit = _planned(recipe, p, module, before)
    module = apply_structure(module, edit)
    edited = recipe.with_edit(edit)
    after = look(edited, module)
    if moved(before, after):
        raise _failed(recipe, p, "its outputs would change.")
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, measure(module, after))
    return edited


def _planned(recipe: Recipe, p: float, module: nn.Module, seen: Trace) -> Dropout:
    """Where dropout goes. Raises EditFailed."""
    heads = {
        h.path: module.get_submodule(h.path) for h in seen.heads if h.classes and h.role in ROLES
    }
    if not heads:
        raise _failed(recipe, p, "none of its layers tells classes apart.")
    with _watched(module, heads) as passed:
        look(recipe, module)
    for path, layer in heads.items():
        if path not in passed.into:
            raise _failed(recipe, p, f"its head {path} is not called as a layer.")
        if path not in passed.behind and not can_drop(layer):
            kind = type(layer).__name__
            raise _failed(recipe, p, f"its head {path} ({kind}) is no plain Linear or convolution.")
    layers = tuple(path for path in heads if path not in passed.behind)
    return Dropout(p, layers, tuple(dict.fromkeys(passed.behind.values())))


def _failed(recipe: Recipe, p: float, problem: str) -> EditFailed:
    return EditFailed(model=recipe.title, what=f"dropout {p:g}", problem=problem)


@dataclass
class _Passed:
    """What was seen between dropouts and heads in a forward pass."""

    into: set[str] = field(default_factory=set)
    """Heads that were called."""
    behind: dict[str, str] = field(default_factory=dict)
    """Head → the nn.Dropout whose result, or a view of it, it read."""
    out: list[tuple[str, Tensor]] = field(default_factory=list)
    """What each nn.Dropout returned, at each call. Held, so that none takes its place."""


@contextmanager
def _watched(module: nn.Module, heads: dict[str, nn.Module]) -> Iterator[_Passed]:
    """Within it, notes what a forward pass hands from dropouts to heads."""
    passed = _Passed()

    def left(path: str, result: Tensor) -> Tensor:
        # In evaluation a dropout returns what it was given: a copy can be told from that.
        told = result.clone()
        passed.out.append((path, told))
        return told

    def entered(path: str, value: Tensor) -> None:
        passed.into.add(path)
        root = value if value._base is None else value._base
        for name, result in passed.out:
            if result is root:
                passed.behind[path] = name

    hooks = [
        each.register_forward_hook(lambda _, __, result, path=path: left(path, result))
        for path, each in module.named_modules()
        if type(each) is nn.Dropout
    ]
    hooks += [
        each.register_forward_pre_hook(lambda _, given, path=path: entered(path, given[0]))
        for path, each in heads.items()
    ]
    try:
        yield passed
    finally:
        for hook in hooks:
            hook.remove()
