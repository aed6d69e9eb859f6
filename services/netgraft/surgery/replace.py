"""Another layer of torch.nn in the place of a module, where every output keeps its shape."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace as changed

import torch
from rapidfuzz import process
from torch import Tensor, nn

from netgraft.errors import EditFailed, SurgeryFailed, UnknownModule
from netgraft.models.build import apply_structure, build
from netgraft.models.layers import checked_arguments, make
from netgraft.models.lora import adapted_around
from netgraft.models.recipe import Recipe, Replace, Scalar
from netgraft.surgery.anatomy import FORWARD_ERRORS, Anatomies, first_line, look, measure
from netgraft.surgery.initial import must_fit
from netgraft.surgery.traces import Trace
from netgraft.surgery.verify import listed, moved

NEAREST = 3


def replace(
    recipe: Recipe, path: str, layer: str, arguments: Mapping[str, Scalar], anatomies: Anatomies
) -> Recipe:
    """The recipe with `layer` of torch.nn at `path`; its tensors and itself are stored.

    New parameters are what torch draws for the layer, from a generator of their own, seeded
    by the recipe and the edit: the same edit gives the same id. Raises UnknownModule,
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
    tensors = _initial(recipe, edit, module.get_submodule(path))
    digest = anatomies.store.put_tensors(tensors) if tensors else ""
    edited = recipe.with_edit(changed(edit, tensors=digest))
    anatomies.store.put_recipe(edited)
    anatomies.remember(edited, measure(module, after))
    return edited


def _must_have(module: nn.Module, path: str) -> None:
    known = [name for name, _ in module.named_modules() if name]
    if path not in known:
        near = ", ".join(match for match, *_ in process.extract(path, known, limit=NEAREST))
        raise UnknownModule(path=path, nearest=near)


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


def _initial(recipe: Recipe, edit: Replace, layer: nn.Module) -> dict[str, Tensor]:
    """Values of the new layer's parameters and buffers. Raises TooLarge."""
    wanted = layer.state_dict()
    must_fit(list(wanted.values()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_seed(recipe, edit))
        values = make(edit).state_dict()
    return {f"{edit.path}.{name}": value.to(wanted[name].dtype) for name, value in values.items()}


def _seed(recipe: Recipe, edit: Replace) -> int:
    digest = hashlib.sha256(f"{recipe.id} {edit.path} {edit.layer}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1  # as `initial` does
