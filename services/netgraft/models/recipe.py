"""The Recipe: an immutable base and an ordered list of edits, named by its SHA-256.

A recipe holds no tensors and imports no torch. Edits that change tensors say how they are
drawn (`drawn`), or name the delta that holds them by its content hash; `build.build` puts
all together.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any, ClassVar, Self, TypeVar

from netgraft.errors import NothingToUndo
from netgraft.models.drawn import Draw, DrawnTensor
from netgraft.models.naming import short_id, shown

COORDINATES = 4
"""Numbers that make a box."""


@dataclass(frozen=True)
class HeadEdit:
    """One layer whose output dimension an edit changes."""

    path: str
    """Module path, such as "fc"."""
    type: str
    """Class of the module, such as "Linear"."""
    in_features: int
    before: int
    after: int
    role: str = "main"
    append: bool = False
    """Whether the layer is put behind the module at `path` instead of replacing it."""

    def __str__(self) -> str:
        if self.append:
            return f"{self.path or 'model'}: + {self.type}({self.in_features} → {self.after})"
        before, after = (
            f"{self.type}({self.in_features} → {n})" for n in (self.before, self.after)
        )
        return f"{self.path}: {before} → {after}"


@dataclass(frozen=True)
class UserFile:
    """What a base takes from a file of the user's: named by content, never by path."""

    sha256: str
    """Of the file's bytes; the store keeps them under it."""
    kind: str
    """As `formats.kind_of` finds it by content, such as "state_dict", "module" or "onnx"."""
    name: str
    """The file's own name, cleaned, for people only."""
    task: str = ""
    """As the catalogue says it, where the file is a module of its own; else ""."""
    input_shape: tuple[int, ...] = ()
    """One example without the batch, where the file is a module of its own; else ()."""
    heads: tuple[HeadEdit, ...] = ()
    """Layers whose outputs the file's tensors count otherwise than the zoo's."""
    config: str = ""
    """The configuration as JSON, where the structure comes from one; else ""."""


@dataclass(frozen=True)
class Base:
    """Where a model starts: a name of a library's zoo and its weights, or a user's file."""

    source: str
    """ "torchvision", "timm", "hf", or "file" for what is in no zoo."""
    name: str
    """The library's own name, such as "resnet50"; of a file, its own name, cleaned."""
    weights: str | None
    """Name of the pretrained weights, such as "IMAGENET1K_V2"; None: random from `seed`.

    With a `file` it says only whose structure the model has.
    """
    seed: int = 0
    file: UserFile | None = None
    """Where the tensors come from, when they are a user's."""

    @property
    def shown(self) -> str:
        """The name as people type it, such as "resnet50" or "timm/convnext_tiny"."""
        return shown(self.source, self.name)

    @property
    def structure(self) -> str:
        """The library's name for the structure that a user's tensors are in; "" without such."""
        return self.name if self.file and self.file.name != self.name else ""

    def __str__(self) -> str:
        weights = f"file:{short_id(self.file.sha256)}" if self.file else self.weights or "none"
        return f"{self.source}/{self.name}@{weights}"


@dataclass(frozen=True)
class OwnerPatch:
    """An attribute of a module that caches the class count, such as `num_classes`."""

    path: str
    attribute: str
    value: int


Scalar = str | int | float | bool | None

LATER = {"later": True}
"""Marks a field that was added after recipes were stored: at its default it is not written,
so that what was stored before keeps its id."""


class Edit:
    """One step of a recipe. Subclasses are frozen dataclasses with a constant `op`."""

    op: ClassVar[str]


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
    """The delta with what is neither drawn nor the parent's; "" where there is nothing such."""
    init: str = field(default="library", metadata=LATER)
    """How classes start that are not kept: "library", "zeros"; "fresh": none is kept."""
    kept: tuple[tuple[str, str], ...] = field(default=(), metadata=LATER)
    """Classes that keep their weights: the name now, and the parent's name for it."""
    draw: Draw | None = field(default=None, metadata=LATER)
    copies: Copies | None = field(default=None, metadata=LATER)
    """Where the rows of the kept classes are; they go before drawn ones."""


@dataclass(frozen=True)
class Freeze(Edit):
    """`trainable` of the parameters below each of `paths` ("" is the whole model)."""

    op: ClassVar[str] = "freeze"
    paths: tuple[str, ...]
    trainable: bool


@dataclass(frozen=True)
class SetLoss(Edit):
    op: ClassVar[str] = "set_loss"
    loss: str


@dataclass(frozen=True)
class Tuned(Edit):
    """Weights that a tuning job reached; the delta holds only the tensors that changed."""

    op: ClassVar[str] = "tuned"
    job: str
    tensors: str
    class_names: tuple[str, ...] = ()
    metrics: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Replace(Edit):
    """A layer of torch.nn in the place of the module at `path`."""

    op: ClassVar[str] = "replace"
    path: str
    type: str
    """Class of torch.nn, such as "GELU"."""
    arguments: tuple[tuple[str, Scalar], ...]
    """Of its constructor, by keyword, sorted."""
    tensors: str
    """The delta with its parameters and buffers; "" where they are drawn, or there are none."""
    draw: Draw | None = field(default=None, metadata=LATER)

    @property
    def layer(self) -> str:
        """The layer as code, such as "GELU(approximate='tanh')"."""
        arguments = (f"{name}={value!r}" for name, value in self.arguments)
        return f"{self.type}({', '.join(arguments)})"


@dataclass(frozen=True)
class Dropout(Edit):
    """Dropout of probability `p` before heads."""

    op: ClassVar[str] = "dropout"
    p: float
    layers: tuple[str, ...]
    """Heads that have one of their own."""
    dropouts: tuple[str, ...]
    """Dropouts of the model that stand before heads already, and get this `p`."""


@dataclass(frozen=True)
class Lora(Edit):
    """Low-rank adapters beside layers; they and the heads train, nothing else."""

    op: ClassVar[str] = "lora"
    rank: int
    alpha: float
    dropout: float
    layers: tuple[str, ...]
    trained: tuple[str, ...]
    """Heads that train with them."""
    tensors: str
    """The delta with A and B of each adapter; "" where they are drawn."""
    draw: Draw | None = field(default=None, metadata=LATER)


E = TypeVar("E", bound=Edit)

KINDS: tuple[type[Edit], ...] = (Retarget, Freeze, SetLoss, Tuned, Replace, Dropout, Lora)
EDITS: dict[str, type[Edit]] = {kind.op: kind for kind in KINDS}


def delta(edit: Edit) -> str:
    """Name of the tensors that an edit changes; "" when it changes none."""
    return edit.tensors if isinstance(edit, Retarget | Tuned | Replace | Lora) else ""


def draw(edit: Edit) -> Draw | None:
    """The tensors that an edit draws; None when it draws none."""
    return edit.draw if isinstance(edit, Retarget | Replace | Lora) else None


@dataclass(frozen=True)
class Recipe:
    """A model as a value. Equal recipes are equal models."""

    base: Base
    edits: tuple[Edit, ...] = ()

    def canonical(self) -> str:
        """The JSON that the id is the hash of: sorted keys, no spaces, defaults written."""
        return self._canonical

    @cached_property
    def _canonical(self) -> str:
        edits = [{"op": edit.op, **_written(edit)} for edit in self.edits]
        base = asdict(self.base)
        if self.base.file is None:  # what has no file reads, and hashes, as before there were any
            del base["file"]
        elif not self.base.file.config:  # nor what has none, as before there were any
            del base["file"]["config"]
        document = {"version": 1, "base": base, "edits": edits}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the canonical form back."""
        document = json.loads(text)
        edits = tuple(_edit(dict(item)) for item in document["edits"])
        return cls(base=_base(document["base"]), edits=edits)

    def with_edit(self, edit: Edit) -> "Recipe":
        edited = Recipe(self.base, (*self.edits, edit))
        # What this recipe has worked out about itself, such as its id, is not worked out again.
        edited.__dict__["parent"] = self
        return edited

    @cached_property
    def parent(self) -> "Recipe":
        """The recipe before the last edit. Raises NothingToUndo on a base."""
        if not self.edits:
            raise NothingToUndo(model=str(self.base))
        return Recipe(self.base, self.edits[:-1])

    def edits_of(self, kind: type[E]) -> Iterator[E]:
        """Edits of one kind, newest first."""
        return (edit for edit in reversed(self.edits) if isinstance(edit, kind))

    @property
    def classes(self) -> int | None:
        """Class count of the newest retarget; None when the zoo's own heads stand."""
        heads = self.base.file.heads if self.base.file else ()
        own = heads[0].after if heads else None
        return next((edit.classes for edit in self.edits_of(Retarget)), own)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in index order as far as an edit gave them, else ()."""
        for edit in reversed(self.edits):
            if isinstance(edit, Tuned) and edit.class_names:
                return edit.class_names
            if isinstance(edit, Retarget):
                return edit.class_names
        return ()

    @property
    def loss(self) -> str:
        """The loss that the newest set_loss chose; "" means the task's default."""
        return next((edit.loss for edit in self.edits_of(SetLoss)), "")

    @property
    def metrics(self) -> dict[str, float]:
        """Figures of the tuning job, when the last edit is one."""
        last = self.edits[-1] if self.edits else None
        return dict(last.metrics) if isinstance(last, Tuned) else {}

    @property
    def title(self) -> str:
        """One line for people."""
        base = self.base
        parts = [base.shown]
        if base.file is None and base.weights is None:
            parts.append("random weights")
        elif base.file and base.structure:
            parts.append(f"weights of {base.file.name}")
        if self.classes is not None:
            parts.append(f"{self.classes} classes")
        if self.loss:
            parts.append(self.loss)
        parts += [f"LoRA {edit.rank}" for edit in self.edits_of(Lora)]
        if any(self.edits_of(Tuned)):
            parts.append("tuned")
        return " · ".join(parts)


def _written(edit: Edit) -> dict[str, Any]:
    """An edit's fields, without those that came later and say nothing new."""
    kept: dict[str, Any] = asdict(edit)  # type: ignore[call-overload]
    for each in fields(edit):  # type: ignore[arg-type]
        if each.metadata.get("later") and getattr(edit, each.name) == each.default:
            del kept[each.name]
    return kept


def _base(item: dict[str, Any]) -> Base:
    file = item.get("file")
    if file is None:
        return Base(**item)
    heads = tuple(HeadEdit(**head) for head in file["heads"])
    kept = UserFile(**file | {"heads": heads, "input_shape": tuple(file["input_shape"])})
    return Base(**item | {"file": kept})


def _edit(item: dict[str, Any]) -> Edit:
    kind = EDITS[item.pop("op")]
    nested = {"heads": HeadEdit, "patches": OwnerPatch}
    for name, value in item.items():
        if name in nested:
            item[name] = tuple(nested[name](**part) for part in value)
        elif name == "draw":
            tensors = tuple(DrawnTensor(**_tuples(part)) for part in value["tensors"])
            item[name] = Draw(**value | {"tensors": tensors})
        elif name == "copies":
            item[name] = Copies(**_tuples(value))
    return kind(**_tuples(item))


def _tuples(item: dict[str, Any]) -> dict[str, Any]:
    """An object's values with lists, and lists of lists, as tuples."""
    return {name: _tuple(value) for name, value in item.items()}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(part) for part in value) if isinstance(value, list) else value
