"""PyTorch's operators in ONNX's words.

A viewer colours, names and documents what it knows, so an operator that has an
exact counterpart in ONNX is called by it, with its attributes and named inputs.
What has none keeps its PyTorch name, in a domain of its own. The tables (`layers`,
`shapes`, `arithmetic`) know nothing of models, modules or files.
"""

from netgraft.graph.capture.recording import Step, values_of
from netgraft.graph.operators import arithmetic, layers, shapes
from netgraft.graph.operators.rule import RULES, TORCH, Constant, Operator, Slot, plain

__all__ = ["TORCH", "Constant", "Operator", "Slot", "translate"]

_TABLES = (arithmetic, layers, shapes)  # imported so that their rules are in RULES


def translate(step: Step) -> Operator:
    """What a step is called in the picture. No rule may lose an edge."""
    rule = RULES.get(step.operator)
    found = rule(step) if rule else None
    return found if found and set(values_of(step)) <= set(found.inputs) else plain(step)
