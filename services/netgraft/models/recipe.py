"""The Recipe: an immutable base and an ordered list of edits, named by its SHA-256.

A recipe holds no tensors, imports no torch and knows no single edit: what it says of a model, it
asks its edits. Edits that change tensors say how they are drawn (`drawn`), or name the delta that
holds them by its content hash; `build.build` puts all together.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self, TypeVar

from netgraft.errors import NothingToUndo
from netgraft.models.edits.edit import Changes, Edit, Training, kind
from netgraft.models.naming import short_id, shown
from netgraft.models.stored import read, written

T = TypeVar("T")

PREFIXED = ("timm", "hf")
"""Libraries whose name people write before the model's."""


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
    """The part of a base that comes from a user's file, named by content, never by path."""

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
    """The start of a model: a name of a library's zoo and its weights, or a user's file."""

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
class Recipe:
    """A model as a value. Equal recipes are equal models."""

    base: Base
    edits: tuple[Edit, ...] = ()

    def canonical(self) -> str:
        """The JSON that the id is the hash of: sorted keys, no spaces, defaults written."""
        return self._canonical

    @cached_property
    def _canonical(self) -> str:
        edits = [{"op": edit.op, **written(edit)} for edit in self.edits]
        base = asdict(self.base)
        if self.base.file is None:  # left out, as before bases could have a file, so that ids stay
            del base["file"]
        elif not self.base.file.config:  # likewise
            del base["file"]["config"]
        document = {"version": 1, "base": base, "edits": edits}
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical form, 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the canonical form back. Raises NotPossible where an edit of it is not known."""
        document = json.loads(text)
        edits = tuple(_edit(dict(item)) for item in document["edits"])
        return cls(base=read(Base, document["base"]), edits=edits)

    def with_edit(self, edit: Edit) -> "Recipe":
        edited = Recipe(self.base, (*self.edits, edit))
        # The parent with what it knows of itself already, such as its id.
        edited.__dict__["parent"] = self
        return edited

    @cached_property
    def parent(self) -> "Recipe":
        """The recipe before the last edit. Raises NothingToUndo on a base."""
        if not self.edits:
            raise NothingToUndo(model=str(self.base))
        return Recipe(self.base, self.edits[:-1])

    def _changes(self) -> Iterator[Changes]:
        """The changes of all edits, the newest first."""
        return (edit.changes for edit in reversed(self.edits))

    def _newest(self, of: Callable[[Changes], T | None]) -> T | None:
        """The value that the newest edit gives to a field of Changes; None where no edit does."""
        return next((found for each in self._changes() if (found := of(each)) is not None), None)

    @property
    def classes(self) -> int | None:
        """Class count that the newest edit of it gave; None when the zoo's own heads stand."""
        heads = self.base.file.heads if self.base.file else ()
        new = self._newest(lambda each: each.classes)
        return heads[0].after if new is None and heads else new

    @property
    def has_new_classes(self) -> bool:
        """True if an edit gave the model heads for classes that its base does not have."""
        return self._newest(lambda each: each.classes) is not None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names in index order as far as an edit gave them, else ()."""
        return self._newest(lambda each: each.class_names) or ()

    @property
    def heads(self) -> tuple[str, ...]:
        """Paths of the heads that the newest edit of them made; () when the base's own stand."""
        return self._newest(lambda each: each.heads) or ()

    @property
    def loss(self) -> str:
        """The loss that was chosen last; "" means the task's default."""
        return self._newest(lambda each: each.loss) or ""

    @property
    def training(self) -> Training | None:
        """The newest tuning job in the model's past; None when it was never tuned."""
        return self._newest(lambda each: each.training)

    @property
    def is_tuned(self) -> bool:
        """True if the last edit is a tuning job's, so that its figures are the model's own."""
        return bool(self.edits) and self.edits[-1].changes.training is not None

    @property
    def metrics(self) -> dict[str, float]:
        """Figures of the tuning job, when the last edit is one."""
        return dict(self.training.metrics) if self.is_tuned and self.training else {}

    @property
    def has_adapters(self) -> bool:
        """True if small adapters train beside layers that do not."""
        return any(each.adapters for each in self._changes())

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
        parts += [each.title for each in self._changes() if each.title]
        if self.training:
            parts.append("tuned")
        return " · ".join(parts)


def _edit(item: dict[str, Any]) -> Edit:
    return read(kind(item.pop("op")), item)
