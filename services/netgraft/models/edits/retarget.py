"""New heads for another number of classes, which keep rows of the old ones where they can."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from netgraft.language import Message
from netgraft.models.drawn import Draw
from netgraft.models.edits.edit import Changes, Code, Deltas, Edit, Names
from netgraft.models.recipe import HeadEdit
from netgraft.models.stored import LATER

if TYPE_CHECKING:
    from torch import Tensor, nn

COORDINATES = 4
"""Numbers that make a box."""

PARTS = ("weight", "bias")
"""Parameters of a head."""

BODY, HEAD = "body", "head"
"""Paths in a model with a head appended: the model as it was, and the new layer."""

APPEND = """class Appended(nn.Module):
    def __init__(self, body, head):
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x):
        features = self.body(x)
        if not torch.is_tensor(features):
            features = features[-1]
        if features.ndim == 4:
            features = features.mean(dim=(2, 3))
        elif features.ndim == 3:
            features = features.mean(dim=1)
        return self.head(features)


def append(model, inputs, out):
    like = next(model.parameters())
    return Appended(model, nn.Linear(inputs, out, dtype=like.dtype, device=like.device))
"""

RESIZE = '''def resize(layer, out):
    """New parameters with `out` outputs; the rest of the layer stays."""
    for name, old in layer.named_parameters(recurse=False):
        new = torch.empty(out, *old.shape[1:], dtype=old.dtype, device=old.device)
        setattr(layer, name, nn.Parameter(new, requires_grad=old.requires_grad))
    for attribute in ("out_features", "out_channels"):
        if hasattr(layer, attribute):
            setattr(layer, attribute, out)
'''


@dataclass(frozen=True)
class OwnerPatch:
    """An attribute of a module that holds the class count, such as `num_classes`."""

    path: str
    attribute: str
    value: int


@dataclass(frozen=True)
class Copies:
    """Classes of new heads whose rows are those of the parent's heads."""

    after: int
    """Classes of the new heads, a detector's background counted."""
    before: int
    """Classes of the parent's heads, a detector's background counted."""
    pairs: tuple[tuple[int, int], ...]
    """Place of a class now, and its place in the parent."""


@dataclass(frozen=True)
class Retarget(Edit):
    """New heads for `classes` classes: drawn, or those of the parent for classes it knows."""

    op: ClassVar[str] = "retarget"
    classes: int
    class_names: tuple[str, ...]
    heads: tuple[HeadEdit, ...]
    patches: tuple[OwnerPatch, ...]
    tensors: str
    """The delta with what is neither drawn nor the parent's; "" where there is no such tensor."""
    init: str = field(default="library", metadata=LATER)
    """How classes start that are not kept: "library", "zeros"; "fresh": none is kept."""
    kept: tuple[tuple[str, str], ...] = field(default=(), metadata=LATER)
    """Classes that keep their weights: the name now, and the parent's name for it."""
    draw: Draw | None = field(default=None, metadata=LATER)
    copies: Copies | None = field(default=None, metadata=LATER)
    """Where the rows of the kept classes are; they take precedence over drawn ones."""

    @property
    def changes(self) -> Changes:
        return Changes(
            draw=self.draw,
            delta=self.tensors,
            retarget=self._appends,
            heads=tuple(HEAD if head.append else head.path for head in self.heads),
            classes=self.classes,
            class_names=self.class_names,
        )

    def describe(self) -> Message:
        heads = Names(map(str, self.heads))
        return Message("New head for {classes} classes: {heads}", classes=self.classes, heads=heads)

    def restructure(self, module: "nn.Module") -> "nn.Module":
        from netgraft.models.layers.heads import append_head, resize_head

        for head in self.heads:
            if head.append:
                module = append_head(module, head.in_features, head.after)
            else:
                resize_head(module, head.path, head.after)
        for patch in self.patches:
            setattr(module.get_submodule(patch.path), patch.attribute, patch.value)
        return module

    def apply(self, module: "nn.Module", deltas: Deltas) -> "nn.Module":
        if self.copies is None:
            return super().apply(module, deltas)
        old = self._head_tensors(module)
        module = super().apply(module, deltas)
        copy_rows(self._head_tensors(module), old, self.heads, self.copies)
        return module

    def code(self, model: "nn.Module") -> Code:
        from netgraft.models.export.statements import set_attribute

        parts = [_head_code(model, head) for head in self.heads]
        patches = [set_attribute(model, p.path, p.attribute, p.value) for p in self.patches]
        lines = [line for part in parts for line in part.lines]
        definitions = {name: text for part in parts for name, text in part.definitions.items()}
        return Code([*lines, *patches], definitions)

    def name_after(self, name: str) -> str:
        return f"{BODY}.{name}" if self._appends else name

    def name_before(self, name: str) -> str:
        if not self._appends:
            return name
        body, _, inner = name.partition(".")
        return inner if body == BODY else ""

    def draw_tensors(
        self, names: Iterable[str], before: "Callable[[Iterable[str]], Mapping[str, Tensor]]"
    ) -> "dict[str, Tensor]":
        tensors = super().draw_tensors(names, before)
        if self.copies:
            copy_rows(tensors, before(tensors), self.heads, self.copies)
        return tensors

    @property
    def _appends(self) -> bool:
        return any(head.append for head in self.heads)

    def _head_tensors(self, module: "nn.Module") -> "dict[str, Tensor]":
        """The tensors of the heads that the edit replaces, or has replaced, by name."""
        return {
            f"{head.path}.{name}": parameter.detach()
            for head in self.heads
            for name, parameter in module.get_submodule(head.path).named_parameters(recurse=False)
        }


def _head_code(model: "nn.Module", head: HeadEdit) -> Code:
    from netgraft.models.export.statements import comment, layer, place, put

    if head.append:
        return Code(
            [f"model = append(model, {head.in_features}, {head.after})"], {"append": APPEND}
        )
    if made := layer(model, head.path):
        return Code([put(model, head.path, made.call), *made.attributes(place(model, head.path))])
    line = f"resize({place(model, head.path)}, {head.after})  # {comment(str(head))}"
    return Code([line], {"resize": RESIZE})


# Rows that are kept


def copy_rows(
    new: "Mapping[str, Tensor]",
    old: "Mapping[str, Tensor]",
    heads: Iterable[HeadEdit],
    copies: Copies,
) -> None:
    """Copy the rows of kept classes from the old heads' tensors into those of `new`, in place."""
    for head in heads:
        for name in (f"{head.path}.{part}" for part in PARTS):
            if name in new and name in old:
                _copy(new[name], old[name], head, copies)


def _copy(new: "Tensor", old: "Tensor", head: HeadEdit, copies: Copies) -> None:
    to, out = _by_class(new, head, copies.after), _by_class(old, head, copies.before)
    here, there = (list(places) for places in zip(*copies.pairs, strict=True))
    to[:, here] = out[:, there].to(to.dtype)


def _by_class(value: "Tensor", head: HeadEdit, classes: int) -> "Tensor":
    """A view of rows_O… as rows_ACB…: anchors, classes, and numbers for each.

    Scores of A anchors are laid out as (A, C) in torchvision's detectors, and boxes of C
    classes as (C, 4).
    """
    numbers = COORDINATES if head.role == "boxes" else 1
    return value.view(-1, classes, numbers, *value.shape[1:])
