"""Another layer of torch.nn in the place of a module, where every output keeps its shape."""

from collections.abc import Mapping
from dataclasses import replace as changed

from torch import nn

from netgraft.anatomy.anatomy import FORWARD_ERRORS, Anatomies, first_line, look, measure
from netgraft.anatomy.traces import Trace
from netgraft.errors import EditFailed, SurgeryFailed, UnknownModule
from netgraft.models.build import apply_structure, build
from netgraft.models.drawn import Draw, must_fit
from netgraft.models.edits.lora import adapted_around
from netgraft.models.edits.replace import checked_arguments, make
from netgraft.models.nearest import nearest
from netgraft.models.recipe import Recipe, Replace, Scalar
from netgraft.models.recipes import put_recipe
from netgraft.surgery.initial import seed
from netgraft.surgery.starts import dtype_name, starts
from netgraft.surgery.verify import listed, moved


def replace(
    recipe: Recipe, path: str, layer: str, arguments: Mapping[str, Scalar], anatomies: Anatomies
) -> Recipe:
    """The recipe with `layer` of torch.nn at `path`; it is stored, and its tensors are a formula.

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
        problem = f"it is part of {adapted} and its LoRA adapter; replace {adapted}."
        raise EditFailed(model=recipe.title, what=f"{path} → {edit.layer}", problem=problem)
    module, after = _tried(recipe, edit, module, before)
    edited = recipe.with_edit(changed(edit, draw=_draw(recipe, edit, module.get_submodule(path))))
    put_recipe(anatomies.store, edited)
    anatomies.remember(edited, measure(module, after))
    return edited


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
        module = apply_structure(module, edit)
    except FORWARD_ERRORS as error:
        raise EditFailed(model=recipe.title, what=what, problem=first_line(error)) from error
    try:
        after = look(recipe, module)
    except SurgeryFailed as error:
        problem = error.values["problem"]
        raise EditFailed(model=recipe.title, what=what, problem=problem) from error
    if changes := moved(before, after):
        problem = "; ".join(
            f"output {key or 'logits'} changes from {listed([was])} to {listed([now])}"
            for key, was, now in changes
        )
        raise EditFailed(model=recipe.title, what=what, problem=f"{problem}.")
    return module, after


def _draw(recipe: Recipe, edit: Replace, layer: nn.Module) -> Draw | None:
    """How the new layer's parameters and buffers start. Raises TooLarge and EditFailed."""
    wanted = layer.state_dict()
    try:
        tensors = tuple(
            changed(start, name=f"{edit.path}.{start.name}", dtype=dtype_name(wanted[start.name]))
            for start in starts(lambda: make(edit))
        )
    except ValueError as error:
        what, problem = f"{edit.path} → {edit.layer}", f"{error}."
        raise EditFailed(model=recipe.title, what=what, problem=problem) from error
    must_fit(tensors)
    return Draw(seed(recipe, "replace", edit.path, edit.layer), tensors) if tensors else None
