"""The modules of a model as rows: type, output shape, parameters, operations.

Modules that ran nothing (an Identity, a loss) are listed without an output shape.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from netgraft.graph.capture.recording import Dim, Step, Value
from netgraft.graph.cost import Cost
from netgraft.graph.lens import Parameters, cost_of
from netgraft.graph.nesting import Graph, last_reads

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Row:
    """One module; numbers include the modules within it."""

    path: str
    """ "" is the model itself."""
    type: str
    depth: int
    """0 for the model itself."""
    shapes: tuple[tuple[Dim, ...], ...]
    """Shapes that its first call returned."""
    parameters: int
    trainable: int
    flops: int
    """Operations of one forward, all its calls together."""
    activation_bytes: int
    calls: int


@dataclass
class _Seen:
    """The calls of one module that were recorded."""

    cost: Cost = field(default_factory=Cost)
    calls: dict[str, list[int]] = field(default_factory=dict)
    """By call: the indices of its steps."""


def rows(graph: Graph, module: "nn.Module", parameters: Parameters, batch: int) -> tuple[Row, ...]:
    """A row for every module, in the order of the model, for a batch of the given size."""
    steps = [operation.step for operation in graph.operations()]
    seen = _watch(graph, steps, batch)
    reads = last_reads(steps, graph.outputs)
    return tuple(_rows(module, parameters, seen, steps, reads))


def to_json(found: tuple[Row, ...]) -> bytes:
    return json.dumps([asdict(row) for row in found], separators=(",", ":")).encode()


def from_json(data: bytes) -> tuple[Row, ...]:
    return tuple(_row(item) for item in json.loads(data))


def _row(item: dict[str, Any]) -> Row:
    return Row(**item | {"shapes": tuple(tuple(shape) for shape in item["shapes"])})


def _watch(graph: Graph, steps: list[Step], batch: int) -> dict[str, _Seen]:
    seen: dict[str, _Seen] = {}
    for index, step in enumerate(steps):
        spent = cost_of(graph, step, batch)
        # The model itself has a frame in every step except those that belong to no module.
        for path, key in {frame.path: frame.key for frame in step.frames}.items() or [("", "")]:
            found = seen.setdefault(path, _Seen())
            found.cost += spent
            found.calls.setdefault(key, []).append(index)
    return seen


def _rows(
    module: "nn.Module",
    parameters: Parameters,
    seen: dict[str, _Seen],
    steps: list[Step],
    reads: dict[Value, int],
) -> Iterator[Row]:
    for path, part in module.named_modules():
        found = seen.get(path, _Seen())
        inside = f"{path}." if path else ""
        held = {p.key: p for name, p in parameters.items() if name.startswith(inside)}.values()
        first = next(iter(found.calls.values()), [])
        yield Row(
            path=path,
            type=type(part).__name__,
            depth=path.count(".") + 1 if path else 0,
            shapes=_made([steps[index] for index in first], max(first, default=0), reads),
            parameters=sum(parameter.size for parameter in held),
            trainable=sum(parameter.size for parameter in held if parameter.trainable),
            flops=found.cost.flops,
            activation_bytes=found.cost.bytes,
            calls=len(found.calls),
        )


def _made(call: list[Step], end: int, reads: dict[Value, int]) -> tuple[tuple[Dim, ...], ...]:
    """Shapes of the values of a call that are read after it."""
    left = [v for step in call for v in step.outputs if reads.get(v, -1) > end]
    return tuple(value.shape for value in left or (call[-1].outputs[:1] if call else ()))
