"""The numbers of each box of the picture, by which the page colours the boxes.

parameters   exact, of the weights that a box reads or a module holds
trainable    those of them that train
flops        of one forward of one example; see `cost`
activations  bytes that a forward of one example makes, and what each further one adds
change       ‖ΔW‖ / ‖W‖ of the weights since before the last training
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netgraft.graph.capture.recording import Step, Weight, tensors
from netgraft.graph.cost import Cost, cost
from netgraft.graph.nesting import Graph, Group, Node, Operation, operations

LENSES = ("trainable", "parameters", "flops", "activations", "change", "gradient")


@dataclass(frozen=True)
class Parameter:
    """A parameter of the model under one of its names."""

    key: int
    """The same for all names of a shared parameter."""
    size: int
    trainable: bool


@dataclass(frozen=True)
class Change:
    """A parameter's change in the last training: squares, so that modules can be summed."""

    moved: float
    """‖ΔW‖²"""
    before: float
    """‖W‖²"""
    gradient: float | None = None
    """‖∂loss/∂W‖² in the last step; None if it was not kept, as for frozen parameters."""


Parameters = Mapping[str, Parameter]
Changes = Mapping[str, Change]


def write(graph: Graph, parameters: Parameters, changes: Changes) -> bytes:
    """The numbers of every box by its name, as JSON."""
    boxes = {node.name: _box(node, graph, parameters, changes) for node in _every(graph.nodes)}
    total = _numbers(parameters, parameters, changes) | _costs(graph, list(graph.operations()))
    lenses = [name for name in LENSES if name in total]
    document = {"lenses": lenses, "total": total, "boxes": boxes}
    return json.dumps(document, separators=(",", ":")).encode()


def _every(nodes: tuple[Node, ...]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if isinstance(node, Group):
            yield from _every(node.nodes)


def _box(node: Node, graph: Graph, parameters: Parameters, changes: Changes) -> dict[str, object]:
    if isinstance(node, Group):
        ran = list(operations(node.nodes))
        # The box of a function or a round is no module: it counts the parameters that it reads.
        held = [name for name in parameters if name.startswith(f"{node.module}.")] or [
            name for operation in ran for name in _read(operation.step, parameters)
        ]
    else:
        held, ran = list(_read(node.step, parameters)), [node]
    return {"module": node.module} | _numbers(held, parameters, changes) | _costs(graph, ran)


def _read(step: Step, parameters: Parameters) -> Iterator[str]:
    """Names of the parameters that a step reads."""
    for argument in step.arguments.values():
        for tensor in tensors(argument):
            if isinstance(tensor, Weight) and tensor.name in parameters:
                yield tensor.name


def _numbers(names: Iterable[str], parameters: Parameters, changes: Changes) -> dict[str, object]:
    held = {parameters[name].key: (name, parameters[name]) for name in names}
    found: dict[str, object] = {
        "parameters": sum(parameter.size for _, parameter in held.values()),
        "trainable": sum(p.size for _, p in held.values() if p.trainable),
    }
    moved = [changes[name] for name, _ in held.values() if name in changes]
    before = sum(change.before for change in moved)
    if before:
        found["change"] = math.sqrt(sum(change.moved for change in moved) / before)
    gradients = [change.gradient for change in moved if change.gradient is not None]
    if gradients:
        found["gradient"] = math.sqrt(sum(gradients))
    return found


def _costs(graph: Graph, ran: list[Operation]) -> dict[str, object]:
    one, two = (sum((cost_of(graph, node.step, n) for node in ran), Cost()) for n in (1, 2))
    return {"flops": one.flops, "activations": [one.bytes, two.bytes - one.bytes]}


def cost_of(graph: Graph, step: Step, batch: int) -> Cost:
    """The cost of a step for a batch, however it was recorded."""
    if not graph.examples:
        return cost(step, batch)
    whole = cost(step, graph.examples)
    share = batch / graph.examples
    return Cost(round(whole.flops * share), round(whole.bytes * share))
