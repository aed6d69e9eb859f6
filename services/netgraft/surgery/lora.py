"""LoRA adapters on the backbone: it keeps its weights, and learns beside them."""

import math
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor, nn

from netgraft.anatomy.anatomy import Anatomies, measure, traced
from netgraft.anatomy.traces import Trace
from netgraft.errors import EditFailed, InvalidValue, SurgeryFailed
from netgraft.language import Message
from netgraft.models.build import build
from netgraft.models.drawn import Draw, DrawnTensor, must_fit
from netgraft.models.edits.lora import Lora
from netgraft.models.layers.adapters import PARTS, can_adapt, is_adapters, must_have_peft
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.freeze import Trains, paths_of
from netgraft.surgery.initial import constant, seed, uniform
from netgraft.surgery.operations import operation
from netgraft.surgery.starts import dtype_name
from netgraft.surgery.verify import moved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netgraft.surgery.messages import Messages

RANK = 8
MOST_RANK = 256
ALPHA_PER_RANK = 2
"""The alpha that is taken where none is given, as a multiple of the rank."""


@dataclass(frozen=True)
class Adapted(Facts):
    """The facts of an edit that puts adapters beside layers."""

    edit: Lora
    now: Trains

    def sentences(self, messages: "Messages") -> list[str]:
        now = self.now
        return messages.adapted(self.edit, now.parameters, now.of, now.frozen_norms)


@operation("lora")
def add_lora(
    recipe: Recipe,
    anatomies: Anatomies,
    *,
    rank: int = 0,
    alpha: float = 0,
    dropout: float = 0,
    targets: Sequence[str] = (),
) -> Edited:
    """The recipe with adapters of `rank` beside layers of its backbone; it is stored.

    `targets` name layers as `freeze` does; without any, all that can have an adapter: every
    Linear and every convolution in one group, undilated and padded by zeros if at all, that is
    called as a layer and is no head. The model answers as before, because B starts at 0; from here
    on the adapters and the heads train. Raises InvalidValue, UnknownModule, PackageMissing,
    TooLarge, and EditFailed where there is nothing to adapt; nothing is stored then.
    """
    must_have_peft()
    rank = _checked("rank", rank or RANK, 1, MOST_RANK)
    alpha = alpha or ALPHA_PER_RANK * rank
    if not (math.isfinite(alpha) and alpha > 0):
        raise InvalidValue(name="alpha", value=f"{alpha:g}", expected=Message("above 0"))
    if not (math.isfinite(dropout) and 0 <= dropout < 1):
        expected = Message("a probability, 0 ≤ p < 1")
        raise InvalidValue(name="dropout", value=f"{dropout:g}", expected=expected)
    if recipe.has_adapters:
        problem = Message("it has adapters already; undo to the model without them.")
        raise _failed(recipe, rank, problem)
    before = anatomies.of(recipe).trace
    module = build(recipe, anatomies.store, device="meta")
    heads = tuple(head.path for head in before.heads if head.classes)
    layers = _layers(recipe, rank, module, before, targets)
    edit = Lora(rank, float(alpha), float(dropout), layers, heads, "")
    module, after = _put(recipe, edit, module, before)
    edit = replace(edit, draw=_draw(recipe, edit, module))
    edited, now = recipe.with_edit(edit), measure(module, after)
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, now)
    return Edited(edited, Adapted(edit, Trains.seen(now, module)))


def _checked(name: str, value: int, least: int, most: int) -> int:
    if not least <= value <= most:
        expected = Message("from {least:,} to {most:,}", least=least, most=most)
        raise InvalidValue(name=name, value=value, expected=expected)
    return value


def _put(recipe: Recipe, edit: Lora, module: nn.Module, before: Trace) -> tuple[nn.Module, Trace]:
    """The module with the adapters, and its trace. Raises EditFailed."""
    module = edit.restructure(module)
    try:
        after = traced(recipe, module)
    except SurgeryFailed as error:
        raise _failed(recipe, edit.rank, error.values["problem"]) from error
    if moved(before, after) or before.heads != after.heads:
        raise _failed(recipe, edit.rank, Message("its outputs would change."))
    return module, after


def _layers(
    recipe: Recipe, rank: int, module: nn.Module, seen: Trace, targets: Sequence[str]
) -> tuple[str, ...]:
    """Paths of the layers that get an adapter. Raises UnknownModule and EditFailed."""
    with _called(module) as called:
        traced(recipe, module)
    heads = {head.path for head in seen.heads}
    fit = [
        path
        for path, layer in module.named_modules()
        if can_adapt(layer) and path in called and path not in heads
    ]
    if targets:
        meant = [path for target in targets for path in paths_of(target.strip(), module, seen)]
        inside = tuple(f"{path}." if path else "" for path in meant)
        fit = [path for path in fit if f"{path}.".startswith(inside)]
    if not fit:
        problem = Message(
            "none of these layers is a Linear or a convolution that can have an adapter."
        )
        raise _failed(recipe, rank, problem)
    return tuple(fit)


@contextmanager
def _called(module: nn.Module) -> "Iterator[set[str]]":
    """While it is open, record which layers a forward pass calls; attention only reads some."""
    called: set[str] = set()
    hooks = [
        layer.register_forward_pre_hook(lambda *_, path=path: called.add(path))
        for path, layer in module.named_modules()
    ]
    try:
        yield called
    finally:
        for hook in hooks:
            hook.remove()


def _draw(recipe: Recipe, edit: Lora, module: nn.Module) -> Draw:
    """A spread as PEFT draws it (Kaiming uniform, a=√5), and B, which is 0. Raises TooLarge."""
    tensors = tuple(
        _start(name, parameter)
        for name, parameter in module.named_parameters()
        if is_adapters(name)
    )
    must_fit(tensors)
    return Draw(seed(recipe, "lora", edit.rank), tensors)


def _start(name: str, parameter: Tensor) -> DrawnTensor:
    shape, dtype = tuple(parameter.shape), dtype_name(parameter)
    if PARTS[0] in name:
        return uniform(name, shape, dtype, fan_in=math.prod(shape[1:]))
    return constant(name, shape, dtype)


def _failed(recipe: Recipe, rank: int, problem: object) -> EditFailed:
    return EditFailed(model=recipe.title, what=f"LoRA {rank}", problem=problem)
