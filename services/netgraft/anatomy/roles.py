"""Works out what the outputs of a layer mean: classes, anchors or coordinates.

`out_features` is C classes, or A·C (A anchors per place), or 4·C (a box per
class). Nothing here knows a model's name. A detector is known by the keys of its
output, "boxes" and "scores", which torchvision documents for all its detectors;
there C is the size over which the model applies softmax or sigmoid to the scores.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from netgraft.anatomy.walk import Found
from netgraft.models.edits.retarget import COORDINATES

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Head:
    """A layer whose result reaches the output with its channels kept apart."""

    path: str
    """Module path, such as "fc"."""
    type: str
    """Class of the module, such as "Linear"."""
    in_features: int
    out_features: int
    classes: int
    """Classes that it distinguishes, background included; 0: it has no class dimension."""
    role: str
    """ "main", "auxiliary", "boxes", "mask", "keypoints" or "other"."""
    activation: str = ""
    """ "softmax", "sigmoid" or "": what the model itself applies to the result."""

    def resized(self, classes: int) -> int:
        """`out_features` that distinguishes `classes` classes."""
        return self.out_features // self.classes * classes if self.classes else self.out_features


@dataclass(frozen=True)
class Candidate:
    """A layer behind an output, before it is known what it means."""

    found: Found
    weight_shape: tuple[int, ...]
    key: str
    """Key of the output that it was found behind."""
    output_shape: tuple[int, ...]
    training: bool
    """Whether it was found in training mode."""


def is_detection(keys: Iterable[str]) -> bool:
    """True if outputs with these keys are a detector's."""
    return {"boxes", "scores"} <= {_last(key) for key in keys}


def meanings(
    module: "nn.Module", candidates: Sequence[Candidate], *, detector: bool
) -> tuple[Head, ...]:
    """The heads, each once, in the order of the outputs."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        if detector or not _is_tokens(candidate):
            first.setdefault(candidate.found.weight, candidate)
    unique = list(first.values())
    counts = _detector_classes(unique) if detector else _classes(unique)
    return tuple(
        _head(module, candidate, classes) for candidate, classes in zip(unique, counts, strict=True)
    )


def _head(module: "nn.Module", candidate: Candidate, classes: int) -> Head:
    layer = module.get_submodule(candidate.found.path)
    out, into, *_ = candidate.weight_shape
    groups = getattr(layer, "groups", 1)
    if getattr(layer, "transposed", False):  # its kernel is kept as (in, out / groups, …)
        out, into = into * groups, out // groups
    role = _role(candidate)
    return Head(
        path=candidate.found.path,
        type=type(layer).__name__,
        in_features=into * groups,
        out_features=out,
        classes=classes,
        role="other" if role in ("main", "auxiliary") and not classes else role,
        activation=candidate.found.activation,
    )


def _role(candidate: Candidate) -> str:
    key = _last(candidate.key)
    if key == "boxes":
        return "boxes"
    if key == "masks":
        return "mask"
    if key.startswith("keypoints"):
        return "keypoints"
    return "auxiliary" if candidate.training or "aux" in key else "main"


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _is_tokens(candidate: Candidate) -> bool:
    """True if the layer makes features of tokens, features_NLC, and no logits_NK…"""
    shape = candidate.output_shape
    return len(shape) == 3 and candidate.weight_shape[0] == shape[2] != shape[1]


def _classes(candidates: Sequence[Candidate]) -> list[int]:
    """The first output decides what K is in logits_NK…; other sizes tell no classes apart."""
    sizes = [c.weight_shape[0] for c in candidates]
    fits = [c.output_shape[1:2] == (size,) for c, size in zip(candidates, sizes, strict=True)]
    classes = next((size for size, fit in zip(sizes, fits, strict=True) if fit), 0)
    return [
        classes if fit and size == classes else 0 for size, fit in zip(sizes, fits, strict=True)
    ]


def _detector_classes(candidates: Sequence[Candidate]) -> list[int]:
    scores = [c for c in candidates if _role(c) == "main"]
    # FCOS multiplies its scores by a centre-ness of one channel, which is no class.
    classes = max((c.found.width for c in scores if c.found.width > 1), default=0)
    if not classes:
        return [0] * len(candidates)
    # Lists and no sets: a class count may be a symbol, which cannot be hashed.
    anchors = [c.weight_shape[0] // classes for c in scores if c.found.width == classes]
    return [_in_detector(c, classes, anchors) for c in candidates]


def _in_detector(candidate: Candidate, classes: int, anchors: Sequence[int]) -> int:
    out = candidate.weight_shape[0]
    match _role(candidate):
        case "main":
            counts = candidate.found.width == classes and out % classes == 0
        case "boxes":
            # A box per anchor (A·4) has no class dimension, even where A happens to be C.
            counts = out not in [COORDINATES * a for a in anchors] and out in [
                COORDINATES * a * classes for a in anchors
            ]
        case "mask":
            counts = out == classes
        case _:
            counts = False
    return classes if counts else 0
