"""The heads, outputs and sizes of a recipe's model, remembered by recipe id.

A model is traced once: the result is kept as JSON, which every process reads without torch.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from netgraft.anatomy.roles import Head
from netgraft.anatomy.traces import Output, Trace
from netgraft.errors import SurgeryFailed
from netgraft.language import Message, quoted
from netgraft.models import bases
from netgraft.models.recipe import Recipe
from netgraft.models.torch_ready import wait_for_torch
from netgraft.store.memo import Memo
from netgraft.store.store import Store

if TYPE_CHECKING:
    from torch import nn

KIND = "heads"
"""Where the store keeps anatomies."""
FORMAT = "2"
"""Raised when what is kept changes."""

TASKS = frozenset({"classification", "segmentation", "detection", "video", "unknown"})
"""Tasks whose models classify."""

FORWARD_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a forward pass raises when a model does not fit its input or its own layers."""


@dataclass(frozen=True)
class Anatomy:
    """Heads and sizes of one model."""

    trace: Trace
    parameters: int
    trainable: int
    weight_bytes: int
    """Bytes of parameters and buffers."""


class Anatomies:
    """Anatomy by recipe. Safe for use from several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, recipe: Recipe) -> Anatomy:
        """The anatomy of a recipe. Raises SurgeryFailed when its model does not run."""
        return ANATOMY.get(self.store, recipe.id, lambda: self._examine(recipe))

    def remember(self, recipe: Recipe, anatomy: Anatomy, *, in_store: bool = True) -> None:
        """Keep what is known of a recipe; with `in_store=False` in this process alone."""
        ANATOMY.put(self.store, recipe.id, anatomy, in_store=in_store)

    def remembers(self, recipe: Recipe) -> bool:
        """True if this process knows the anatomy of a recipe already."""
        return ANATOMY.is_in_memory(self.store, recipe.id)

    def _examine(self, recipe: Recipe) -> Anatomy:
        wait_for_torch()
        from netgraft.models.build import build

        module = build(recipe, self.store, device="meta")
        if recipe.edits and not recipe.edits[-1].changes.moves_heads:
            return measure(module, self.of(recipe.parent).trace)
        return measure(module, traced(recipe, module))


def traced(recipe: Recipe, module: "nn.Module") -> Trace:
    """Trace a recipe's module on meta. Raises SurgeryFailed when it does not run.

    The channels of optical flow are no classes, though they look like them.
    """
    from netgraft.anatomy.heads import trace

    try:
        seen = trace(module, example(recipe))
    except FORWARD_ERRORS as error:
        report = quoted(first_line(error))
        problem = Message("it does not run on its example input ({report}).", report=report)
        raise SurgeryFailed(model=recipe.title, problem=problem) from error
    if bases.task(recipe.base) in TASKS:
        return seen
    return replace(seen, heads=tuple(replace(h, classes=0, role="other") for h in seen.heads))


def example(recipe: Recipe, batch: int = 2) -> Sequence[Any]:
    """Arguments of one forward pass on meta."""
    return bases.example_inputs(recipe.base, batch)


def measure(module: "nn.Module", seen: Trace) -> Anatomy:
    """Sizes of a module, put beside what its trace showed."""
    parameters = list(module.parameters())
    tensors = [*parameters, *module.buffers()]
    return Anatomy(
        trace=seen,
        parameters=sum(p.numel() for p in parameters),
        trainable=sum(p.numel() for p in parameters if p.requires_grad),
        weight_bytes=sum(t.numel() * t.element_size() for t in tensors),
    )


def first_line(error: Exception) -> str:
    """The first line of an error's message, for a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def to_json(anatomy: Anatomy) -> bytes:
    return json.dumps(asdict(anatomy), separators=(",", ":")).encode()


def from_json(data: bytes) -> Anatomy:
    return from_document(json.loads(data))


def from_document(document: dict[str, Any]) -> Anatomy:
    """From what `asdict` makes of an anatomy."""
    seen = document["trace"]
    return Anatomy(
        trace=Trace(
            heads=tuple(Head(**head) for head in seen["heads"]),
            outputs=tuple(_output(item) for item in seen["outputs"]),
            training_outputs=tuple(_output(item) for item in seen["training_outputs"]),
        ),
        parameters=document["parameters"],
        trainable=document["trainable"],
        weight_bytes=document["weight_bytes"],
    )


def _output(item: dict[str, Any]) -> Output:
    return Output(item["key"], tuple(item["shape"]), tuple(item["heads"]))


ANATOMY = Memo(KIND, "json", FORMAT, to_json, from_json)
