"""Find out what a user's file holds, as far as that is safe: nothing in it runs.

A whole module and a `.keras` file of Keras's own layers can be built; a state dict takes the
structure of the zoo that fits its tensors; the rest is for Netron to draw.
"""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from netgraft.errors import UnsupportedFile
from netgraft.language import Message
from netgraft.models.recipe import HeadEdit
from netgraft.models.sources.keras import archive as keras_archive
from netgraft.models.untrusted import limits
from netgraft.models.untrusted.formats import kind_of, member

if TYPE_CHECKING:
    from torch import nn

NAMED = 3
"""How many tensors a sentence names."""


@dataclass(frozen=True)
class Found:
    """The contents of a file."""

    kind: str
    """A key of `formats.FORMATS`, or a suffix that Netron knows."""
    source: str = "file"
    """The library whose structure fits, or "file"."""
    name: str = ""
    weights: str | None = None
    task: str = ""
    input_shape: tuple[int, ...] = ()
    heads: tuple[HeadEdit, ...] = ()
    also: tuple[str, ...] = ()
    """Other names of the zoo that fit."""
    tensors: int = 0
    top_level: int = 0
    """Boxes that Netron shows at first; 0 where only Netron knows."""
    nodes: int = 0
    parameters: int = 0
    """Elements of the weights; 0 where only Netron knows."""
    config: str = ""
    """As `recipe.UserFile.config`."""
    near: str = ""
    """Of a state dict that fits none, the name of the zoo that is nearest, …"""
    lacking: tuple[str, ...] = ()
    """… the first of its tensors that are missing, or of another shape, …"""
    lacks: int = 0
    """… how many these are, …"""
    of: int = 0
    """… and how many tensors it has."""


def inspect(copy: Path, name: str) -> Found:
    """Find out what a file holds. Raises UnsupportedFile, UnsafeFile and TooLarge."""
    with copy.open("rb") as file:
        kind = kind_of(file, copy.stat().st_size, name)
        file.seek(0)
        inspectors = {
            "torch": _inspect_pickle,
            "safetensors": _inspect_safetensors,
            "onnx": _inspect_onnx,
            "keras": _inspect_keras,
            "pt2": _inspect_pt2,
            "torchscript": _inspect_torchscript,
        }
        return inspectors[kind](file, name) if kind in inspectors else Found(kind)


def _inspect_pickle(file: BinaryIO, name: str) -> Found:
    from torch import nn

    from netgraft.models.untrusted.unpickle import load, model_in

    model = model_in(load(file, name, "meta"))
    if isinstance(model, nn.Module):
        from netgraft.models.files.matching import purpose

        task, shape = purpose(model)
        parameters = sum(value.numel() for value in model.parameters())
        return Found("module", task=task, input_shape=shape, parameters=parameters)
    if model is None:
        return Found("checkpoint")
    return _fitted("state_dict", {key: tuple(value.shape) for key, value in model.items()})


def _inspect_safetensors(file: BinaryIO, name: str) -> Found:
    entries = limits.safetensors_header(file, name)
    try:
        shapes = {key: tuple(map(int, entry["shape"])) for key, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise UnsupportedFile(path=name, problem=Message("its header is damaged.")) from error
    file.seek(0)
    header = int.from_bytes(file.read(8), "little")
    file.seek(0, os.SEEK_END)
    if file.tell() != 8 + header + end:
        raise UnsupportedFile(path=name, problem=Message("it was cut short."))
    return _fitted("safetensors", shapes)


def _fitted(kind: str, shapes: dict[str, tuple[int, ...]]) -> Found:
    from math import prod

    from netgraft.models.files.matching import find, nearest

    elements = sum(prod(shape) for shape in shapes.values())
    fit = find(shapes)
    if fit is None:
        layers = {key.rpartition(".")[0] for key in shapes}
        found = Found(kind, tensors=len(shapes), top_level=len(layers), parameters=elements)
        if near := nearest(shapes):
            lacking = len(near.lacking)
            found = replace(
                found, near=near.name, lacking=near.lacking[:NAMED], lacks=lacking, of=near.of
            )
        return found
    base = fit.base
    return Found(
        kind,
        base.source,
        base.name,
        base.weights,
        heads=fit.heads,
        also=fit.also,
        tensors=len(shapes),
        parameters=elements,
    )


def _inspect_onnx(file: BinaryIO, name: str) -> Found:
    size = limits.onnx_size(file, name)
    return Found("onnx", top_level=size.top_level, nodes=size.nodes, parameters=size.parameters)


def _inspect_keras(file: BinaryIO, name: str) -> Found:
    config = member(file, keras_archive.CONFIG, name)
    nodes = limits.check_words(config, b'"class_name"', name)
    whole = keras_archive.is_buildable(config) and keras_archive.has_weights(file)
    if not (whole and keras_archive.is_installed()):
        return Found("keras", nodes=nodes)
    from netgraft.models.sources.keras import module as keras_module

    file.seek(0)
    module = keras_module.load(file, name)
    shape = keras_module.input_shape(module)
    parameters = sum(value.numel() for value in module.parameters())
    task = _task(module, shape) if shape else ""
    if not task:
        return Found("keras", nodes=nodes)
    said = json.dumps({"rescales": keras_module.rescales(module)})
    return Found("keras", task=task, input_shape=shape, parameters=parameters, config=said)


def _task(module: "nn.Module", shape: tuple[int, ...]) -> str:
    """The task that a module's answer to a picture shows; "" where it takes no picture."""
    import torch

    try:
        with torch.no_grad():
            out = module.to("meta").eval()(torch.zeros(2, *shape, device="meta"))
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError):
        return ""
    return "classification" if isinstance(out, torch.Tensor) and out.ndim == 2 else "unknown"


def _inspect_pt2(file: BinaryIO, name: str) -> Found:
    for part in ("models/model.json", "serialized_exported_program.json"):
        limits.check_words(member(file, part, name), b'"target"', name)
    return Found("pt2")


def _inspect_torchscript(file: BinaryIO, name: str) -> Found:
    limits.check_code(file, name)
    return Found("torchscript")
