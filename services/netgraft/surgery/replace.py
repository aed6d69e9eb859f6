"""Another layer of torch.nn in the place of a module, where every output keeps its shape."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from typing import TYPE_CHECKING

from torch import nn

from netgraft.anatomy.anatomy import FORWARD_ERRORS, Anatomies, first_line, measure, traced
from netgraft.anatomy.traces import Trace
from netgraft.errors import EditFailed, SurgeryFailed, UnknownModule
from netgraft.language import Message, quoted
from netgraft.models.build import build
from netgraft.models.drawn import Draw, must_fit
from netgraft.models.edits.replace import Replace
from netgraft.models.layers.adapters import adapted_around
from netgraft.models.layers.named import checked_arguments, make
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import put_recipe
from netgraft.models.stored import Scalar
from netgraft.surgery.edited import Edited, Facts
from netgraft.surgery.initial import seed
from netgraft.surgery.operations import operation
from netgraft.surgery.starts import dtype_name, starts
from netgraft.surgery.verify import listed, moved

if TYPE_CHECKING:
    from netgraft.surgery.messages import Messages


@dataclass(frozen=True)
class Replaced(Facts):
    """The facts of an edit that puts a layer in the place of a module."""

    edit: Replace
    old: str
    """Class of the module that was there, such as "ReLU"."""

    def sentences(self, messages: "Messages") -> list[str]:
        return [messages.replaced(self.edit, self.old)]


@operation("replace")
def replace(
    recipe: Recipe, path: str, layer: str, arguments: Mapping[str, Scalar], anatomies: Anatomies
) -> Edited:
    """The recipe with `layer` of torch.nn at `path`; it is stored, its new tensors as a formula.

    New parameters are spread as torch draws them for the layer, from a seed that follows from
    the recipe and the edit: the same edit gives the same id. Raises UnknownModule,
    InvalidValue, TooLarge, and EditFailed where the model does not run, an output has another
    shape or the module is part of an adapter; nothing is stored then.
    """
    edit = Replace(path, layer, checked_arguments(layer, arguments), "")
    before = anatomies.of(recipe).trace
    module = build(recipe, anatomies.store, device="meta")
    _must_have(module, path)
    if adapted := adapted_around(module, path):
        problem = Message(
            "it is part of {adapted} and its LoRA adapter; replace {adapted}.", adapted=adapted
        )
        raise EditFailed(model=recipe.title, what=f"{path} → {edit.layer}", problem=problem)
    old = type(module.get_submodule(path)).__name__
    module, after = _tried(recipe, edit, module, before)
    edit = changed(edit, draw=_draw(recipe, edit, module.get_submodule(path)))
    edited = recipe.with_edit(edit)
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, measure(module, after))
    return Edited(edited, Replaced(edit, old))


def _must_have(module: nn.Module, path: str) -> None:
    known = [name for name, _ in module.named_modules() if name]
    if path not in known:
        raise UnknownModule(path=path, nearest=", ".join(nearest(path, known)))


def _tried(
    recipe: Recipe, edit: Replace, module: nn.Module, before: Trace
) -> tuple[nn.Module, Trace]:
    """The module with the edit, on meta, and its trace. Raises EditFailed."""
    what = f"{edit.path} → {edit.layer}"
    try:
        module = edit.restructure(module)
    except FORWARD_ERRORS as error:
        raise EditFailed(
            model=recipe.title, what=what, problem=quoted(first_line(error))
        ) from error
    try:
        after = traced(recipe, module)
    except SurgeryFailed as error:
        problem = error.values["problem"]
        raise EditFailed(model=recipe.title, what=what, problem=problem) from error
    if changes := moved(before, after):
        lines = [
            Message(
                "output {output} changes from {before} to {after}",
                output=key or "logits",
                before=listed([was]),
                after=listed([now]),
            )
            for key, was, now in changes
        ]
        problem = Message("{changes}.", changes=lines)
        raise EditFailed(model=recipe.title, what=what, problem=problem)
    return module, after


def _draw(recipe: Recipe, edit: Replace, layer: nn.Module) -> Draw | None:
    """The draw of the new layer's parameters and buffers. Raises TooLarge and EditFailed."""
    wanted = layer.state_dict()
    try:
        tensors = tuple(
            changed(start, name=f"{edit.path}.{start.name}", dtype=dtype_name(wanted[start.name]))
            for start in starts(lambda: make(edit.type, edit.arguments))
        )
    except ValueError as error:
        what, problem = f"{edit.path} → {edit.layer}", quoted(f"{error}.")
        raise EditFailed(model=recipe.title, what=what, problem=problem) from error
    must_fit(tensors)
    return Draw(seed(recipe, "replace", edit.path, edit.layer), tensors) if tensors else None
