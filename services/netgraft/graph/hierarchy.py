"""The graph as JSON: modules within modules, for programs that draw or count for themselves."""

import json
from typing import Any

from netgraft.graph.capture.recording import Value, Weight
from netgraft.graph.nesting import Graph, Group, Node, Operation
from netgraft.graph.operators import Constant, Slot


def write(graph: Graph, title: str) -> bytes:
    """The JSON document of a graph, UTF-8."""
    document = {
        "title": title,
        "class": graph.type,
        "method": graph.method,
        "parameters": graph.size().parameters,
        "trainable_parameters": graph.size().trainable,
        "inputs": [_tensor(value) for value in graph.inputs],
        "outputs": [{"as": name} | _tensor(value) for name, value in graph.outputs],
        "nodes": [_node(node, graph) for node in graph.nodes],
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _node(node: Node, graph: Graph) -> dict[str, Any]:
    common = {"name": node.name, "module": node.module, "class": node.type}
    if isinstance(node, Group):
        return common | {
            "parameters": graph.size(node.module).parameters,
            "inputs": [value.name for value in node.inputs],
            "outputs": [_tensor(value) for value in node.outputs],
            "nodes": [_node(child, graph) for child in node.nodes],
        }
    return common | _operation(node)


def _operation(node: Operation) -> dict[str, Any]:
    operator = node.operator
    return {
        "operator": operator.type,
        "domain": operator.domain or "onnx",
        "torch": node.target,
        "inputs": [_slot(slot) for slot in operator.inputs],
        "attributes": dict(operator.attributes),
        "outputs": [_tensor(value) for value in node.outputs],
    }


def _slot(slot: Slot) -> Any:
    """A flowing tensor by its name, a weight with its shape, a setting by its value."""
    if isinstance(slot, Value):
        return slot.name
    if isinstance(slot, Weight):
        return _tensor(slot) | {"trainable": slot.trainable}
    if isinstance(slot, Constant):
        return slot.values[0] if slot.scalar else list(slot.values)
    return None


def _tensor(tensor: Value | Weight) -> dict[str, Any]:
    return {"name": tensor.name, "dtype": tensor.dtype, "shape": list(tensor.shape)}
