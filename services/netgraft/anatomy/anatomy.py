"""What is known of a recipe's model without its weights, remembered by recipe id.

A model is traced once: what was seen is kept in memory and, as JSON of kind
"heads", in the store, where every process finds it, without torch.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar, cast

from netgraft.anatomy.roles import Head
from netgraft.anatomy.traces import Output, Trace
from netgraft.errors import SurgeryFailed
from netgraft.models import bases
from netgraft.models.recipe import Dropout, Lora, Recipe, Replace, Retarget
from netgraft.store.store import Store

if TYPE_CHECKING:
    from torch import nn

KIND = "heads"
FORMAT = 1
"""Raised when what is kept changes: older files are then made anew."""
REMEMBERED = 1024

TASKS = frozenset({"classification", "segmentation", "detection", "video", "unknown"})
"""Tasks whose models tell classes apart."""

T = TypeVar("T")

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

    def __init__(self, store: Store, foretell: "Foretell | None" = None) -> None:
        """`foretell` says what a recipe's anatomy is where that follows from what is kept."""
        self.store = store
        self._foretell = foretell
        self._known: OrderedDict[str, Any] = OrderedDict()
        self._lock = Lock()

    def of(self, recipe: Recipe) -> Anatomy:
        """The anatomy of a recipe. Raises SurgeryFailed when its model does not run."""
        name = file_name(recipe)
        if self._foretell and name not in self._known and (told := self._foretell(recipe, self)):
            self._remember(name, told)
            return told
        return self.kept(name, lambda: to_json(self._examine(recipe)), from_json)

    def remember(self, recipe: Recipe, anatomy: Anatomy, *, follows: bool = False) -> None:
        """Keep what is known of a recipe; in memory alone where `foretell` could say it again."""
        if not (follows and self._foretell):
            self.store.put_file(KIND, file_name(recipe), to_json(anatomy))
        self._remember(file_name(recipe), anatomy)

    def kept(self, name: str, make: Callable[[], bytes], read: Callable[[bytes], T]) -> T:
        """What `read` makes of the file `name`, which `make` makes where there is none."""
        with self._lock:
            if name in self._known:
                self._known.move_to_end(name)
                return cast("T", self._known[name])
        data = self.store.get_file(KIND, name)
        if data is None:
            data = make()
            self.store.put_file(KIND, name, data)
        value = read(data)
        self._remember(name, value)
        return value

    def _remember(self, name: str, value: object) -> None:
        with self._lock:
            self._known[name] = value
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)

    def _examine(self, recipe: Recipe) -> Anatomy:
        from netgraft.surgery.symbolic import warm

        warm()
        from netgraft.models.build import build

        module = build(recipe, self.store, device="meta")
        if recipe.edits and not isinstance(recipe.edits[-1], Retarget | Replace | Dropout | Lora):
            # No other edit moves a head.
            return measure(module, self.of(recipe.parent).trace)
        return measure(module, look(recipe, module))


Foretell = Callable[[Recipe, Anatomies], Anatomy | None]


def look(recipe: Recipe, module: "nn.Module") -> Trace:
    """Trace a recipe's module on meta. Raises SurgeryFailed when it does not run.

    The channels of optical flow are no classes, though they look like them.
    """
    from netgraft.anatomy.heads import trace

    try:
        seen = trace(module, example(recipe))
    except FORWARD_ERRORS as error:
        problem = f"it does not run on its example input ({first_line(error)})."
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


def file_name(recipe: Recipe) -> str:
    """Name of the file that keeps the anatomy of a recipe."""
    return f"{recipe.id}.{FORMAT}.json"


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
