"""Find the structure of the zoo that a user's tensors belong to, and the task of a whole module.

A state dict names tensors and not operators. Which structure they belong to is found by
comparing their names and shapes with the zoo's; a head may count other classes.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netgraft.models import bases
from netgraft.models.files import fingerprints
from netgraft.models.files.fingerprints import Signature
from netgraft.models.files.shapes import Shapes, counted, spellings
from netgraft.models.recipe import Base, HeadEdit

COUNTING = frozenset({"classification", "segmentation", "video"})
"""Tasks whose heads have one output for each class."""
MOST_CANDIDATES = 8
"""Structures that are built to compare with; similar ones are next to each other in the index."""

SIDES = (224, 32, 28, 64, 299, 128, 96, 256, 384, 512)
"""Sides of pictures that are tried on a module that is in no zoo, the usual first."""
FRAMES = 16


@dataclass(frozen=True)
class Fit:
    """A structure of the zoo that a file's tensors have."""

    base: Base
    heads: tuple[HeadEdit, ...]
    """Those that differ."""
    also: tuple[str, ...]
    """Other names whose tensors have the same names and shapes."""


def find(shapes: Shapes) -> Fit | None:
    """The structure that tensors of these names and shapes belong to, or None."""
    for spelled in spellings(counted(shapes.items())):
        near = fingerprints.fitting(spelled)
        for line in near[:MOST_CANDIDATES]:
            heads = _compare(line, spelled)
            if heads is not None:
                return Fit(line.base, heads, _others(near, line))
    return None


@dataclass(frozen=True)
class Near:
    """The structure of the zoo that is most like tensors that fit none."""

    name: str
    lacking: tuple[str, ...]
    """Its tensors that are missing, or of another shape."""
    of: int
    """How many it has."""


def nearest(shapes: Shapes) -> Near | None:
    """The structure with the most tensors in common; None where nothing is like it."""
    spelled = min(spellings(counted(shapes.items())), key=lambda each: sum(map(len, each)))
    line = fingerprints.nearest(spelled)
    if line is None:
        return None
    module = bases.base_module(line.base, device="meta")
    own = counted((key, tuple(value.shape)) for key, value in module.state_dict().items())
    lacking = tuple(key for key, shape in own.items() if spelled.get(key) != shape)
    return Near(line.base.shown, lacking, len(own))


def _others(near: Iterable[Signature], chosen: Signature) -> tuple[str, ...]:
    """A few other names that fit; "quantized_" ones are the same models by another name."""
    names = dict.fromkeys(line.base.shown for line in near if "quantized" not in line.name)
    names.pop(chosen.base.shown, None)
    return tuple(names)[:3]


def _compare(line: Signature, shapes: Shapes) -> tuple[HeadEdit, ...] | None:
    """Heads in which the tensors differ from the structure; None when more differs."""
    module = bases.base_module(line.base, device="meta")
    own = counted((key, tuple(value.shape)) for key, value in module.state_dict().items())
    if own.keys() != shapes.keys():
        return None
    different = {key.rpartition(".")[0] for key in own if own[key] != tuple(shapes[key])}
    if different and (bases.task(line.base) not in COUNTING or not different <= set(line.heads)):
        return None
    heads = [_head(module, path, own, shapes) for path in sorted(different)]
    found = tuple(head for head in heads if head)
    return found if len(found) == len(heads) else None


def _head(module: nn.Module, path: str, own: Shapes, shapes: Shapes) -> HeadEdit | None:
    layer = module.get_submodule(path)
    keys = [f"{path}.{name}" for name, _ in layer.named_parameters(recurse=False)]
    weight = max(keys, key=lambda key: len(own[key]))
    if len({shapes[key][0] for key in keys if shapes[key]}) != 1:
        return None
    if any(own[key][1:] != tuple(shapes[key])[1:] for key in keys):
        return None
    inputs = own[weight][1] * getattr(layer, "groups", 1) if len(own[weight]) > 1 else 0
    kind = type(layer).__name__
    return HeadEdit(path, kind, inputs, own[weight][0], shapes[weight][0])


# Whole modules: what they are for


def purpose(module: nn.Module) -> tuple[str, tuple[int, ...]]:
    """Task and input shape of a module on meta; ("", ()) when none that is tried fits."""
    state = module.state_dict()
    if fit := find({key: tuple(value.shape) for key, value in state.items()}):
        return bases.task(fit.base), bases.input_shape(fit.base)
    for shape in _likely(module):
        try:
            with torch.no_grad():
                out = module.eval()(torch.zeros(2, *shape, device="meta"))
        except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, AssertionError):
            continue
        flat = isinstance(out, Tensor) and out.ndim == 2
        return "classification" if flat else "unknown", shape
    return "", ()


def _likely(module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Input shapes that the first layer with weights could take."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            yield from ((layer.in_channels, side, side) for side in SIDES)
            return
        if isinstance(layer, nn.Conv3d):
            yield from ((layer.in_channels, FRAMES, side, side) for side in SIDES)
            return
        if isinstance(layer, nn.Conv1d):
            yield from ((layer.in_channels, length) for length in (1024, 128, 16384))
            return
        if isinstance(layer, nn.Linear):
            yield (layer.in_features,)
            for count in (3, 1):
                side = int((layer.in_features / count) ** 0.5)
                if side * side * count == layer.in_features:
                    yield (count, side, side)
            return
