"""Dropout before the heads that tell classes apart."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.anatomy.traces import Trace
from netgraft.errors import EditFailed, InvalidValue
from netgraft.language import Message
from netgraft.models.build import build
from netgraft.models.edits.dropout import Dropout
from netgraft.models.layers.dropout import can_drop
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.operations import operation
from netgraft.surgery.verify import moved

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages

ROLES = ("main", "auxiliary")


@dataclass(frozen=True)
class Dropped(Facts):
    """The facts of an edit that puts dropout before heads."""

    edit: Dropout

    def sentences(self, messages: "Messages") -> list[str]:
        return messages.dropped(self.edit)


@operation("dropout")
def set_dropout(recipe: Recipe, p: float, anatomies: Anatomies) -> Edited:
    """The recipe whose heads read their input through dropout of probability `p`; it is stored.

    Where the model has an nn.Dropout directly before a head, that one gets `p`; else the head
    gets one of its own. Evaluation answers as before, and no tensor changes its name. Raises
    InvalidValue, and EditFailed where a head cannot take one; nothing is stored then.
    """
    if not (math.isfinite(p) and 0 <= p < 1):
        raise InvalidValue(name="p", value=f"{p:g}", expected=Message("a probability, 0 ≤ p < 1"))
    before = anatomies.of(recipe).trace
    module = build(recipe, anatomies.store, device="meta")
    edit = _planned(recipe, p, module, before)
    module = edit.restructure(module)
    edited = recipe.with_edit(edit)
    after = traced(edited, module)
    if moved(before, after):
        raise _failed(recipe, p, Message("its outputs would change."))
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, measure(module, after))
    return Edited(edited, Dropped(edit))


def _planned(recipe: Recipe, p: float, module: nn.Module, seen: Trace) -> Dropout:
    """Plan where dropout goes. Raises EditFailed."""
    heads = {
        h.path: module.get_submodule(h.path) for h in seen.heads if h.classes and h.role in ROLES
    }
    if not heads:
        raise _failed(recipe, p, Message("none of its layers tells classes apart."))
    with _watched(module, heads) as passed:
        traced(recipe, module)
    for path, layer in heads.items():
        if path not in passed.into:
            problem = Message("its head {path} is not called as a layer.", path=path)
            raise _failed(recipe, p, problem)
        if path not in passed.behind and not can_drop(layer):
            problem = Message(
                "its head {path} ({type}) is neither a plain Linear nor a plain convolution.",
                path=path,
                type=type(layer).__name__,
            )
            raise _failed(recipe, p, problem)
    layers = tuple(path for path in heads if path not in passed.behind)
    return Dropout(p, layers, tuple(dict.fromkeys(passed.behind.values())))


def _failed(recipe: Recipe, p: float, problem: Message) -> EditFailed:
    return EditFailed(model=recipe.title, what=f"dropout {p:g}", problem=problem)


@dataclass
class _Passed:
    """A record of what a forward pass hands from dropouts to heads."""

    into: set[str] = field(default_factory=set)
    """Heads that were called."""
    behind: dict[str, str] = field(default_factory=dict)
    """Head → the nn.Dropout whose result, or a view of it, it read."""
    out: list[tuple[str, Tensor]] = field(default_factory=list)
    """What each nn.Dropout returned, at each call; kept alive, so that no id is used twice."""


@contextmanager
def _watched(module: nn.Module, heads: dict[str, nn.Module]) -> Iterator[_Passed]:
    """While it is open, record what a forward pass hands from dropouts to heads."""
    passed = _Passed()

    def left(path: str, result: Tensor) -> Tensor:
        # In evaluation a dropout returns the very tensor it was given; a copy is another one.
        copy = result.clone()
        passed.out.append((path, copy))
        return copy

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
