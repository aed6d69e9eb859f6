"""What one forward pass did, in plain values: the common format of both ways of capture.

A recording is flat: steps in the order in which they ran. Each step carries the
frames of the modules that were being called, outermost first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Dim = int | str
"""A dimension: a number, or a formula over the batch "N", such as "12·N"."""

BATCH = "N"


@dataclass(frozen=True)
class Value:
    """A tensor that flows: the model's input, or what a step made."""

    name: str
    """Unique in its recording."""
    dtype: str
    """As torch names it, without the prefix "torch.": "float32"."""
    shape: tuple[Dim, ...]


@dataclass(frozen=True)
class Weight:
    """A tensor that stays: a parameter, a buffer or a constant."""

    name: str
    """Path in the model, such as "layer1.0.conv1.weight"."""
    dtype: str
    shape: tuple[Dim, ...]
    trainable: bool = False


Argument = Value | Weight | int | float | bool | str | None | tuple["Argument", ...]


@dataclass(frozen=True)
class Frame:
    """A module being called."""

    path: str
    """Path in the model; "" is the model itself."""
    kind: str
    """Qualified class name."""
    key: str
    """Distinguishes one call of a module from another."""

    @property
    def type(self) -> str:
        """Class name without its package."""
        return self.kind.rpartition(".")[2]


@dataclass(frozen=True)
class Step:
    """One operator that ran."""

    target: str
    """Name with namespace and overload: "aten.conv2d.default"."""
    arguments: Mapping[str, Argument]
    """Keyed by the names in the operator's schema; defaults are left out."""
    outputs: tuple[Value, ...]
    frames: tuple[Frame, ...] = ()

    @property
    def operator(self) -> str:
        """Name without overload and without the mark of in-place forms: "aten.relu"."""
        return self.target.rpartition(".")[0].rstrip("_")


@dataclass(frozen=True)
class Recording:
    """One forward pass."""

    method: str
    """ "export" or "modules"; see `capture`."""
    inputs: tuple[Value, ...]
    outputs: tuple[tuple[str, Value | Weight], ...]
    """Keyed by the names under which the model returns them."""
    steps: tuple[Step, ...] = field(default=(), repr=False)
    examples: int = 0
    """Examples in the batch that ran, if shapes are plain numbers; 0 if they contain "N"."""


def tensors(argument: Argument) -> Iterator[Value | Weight]:
    """The tensors in an argument, in their order."""
    if isinstance(argument, tuple):
        for part in argument:
            yield from tensors(part)
    elif isinstance(argument, Value | Weight):
        yield argument


def values_of(step: Step) -> Iterator[Value]:
    """The flowing tensors that a step reads, in the order of its arguments."""
    for argument in step.arguments.values():
        yield from (tensor for tensor in tensors(argument) if isinstance(tensor, Value))
