"""PyTorch's operators under their ONNX names.

A viewer colours, names and documents the operators that it knows, so one with an exact
counterpart in ONNX gets its name, with its attributes and named inputs.
The others keep their PyTorch names, in a domain of their own. The tables (`layers`,
`shapes`, `arithmetic`) know nothing of models, modules or files.
"""

from netgraft.graph.capture.recording import Step, values_of
from netgraft.graph.operators import arithmetic, layers, shapes
from netgraft.graph.operators.rule import RULES, TORCH, Constant, Operator, Slot, plain

__all__ = ["TORCH", "Constant", "Operator", "Slot", "translate"]

_TABLES = (arithmetic, layers, shapes)  # imported so that their rules are in RULES


def translate(step: Step) -> Operator:
    """Return a step's operator in the picture. Every tensor that the step reads is an input."""
    rule = RULES.get(step.operator)
    found = rule(step) if rule else None
    return found if found and set(values_of(step)) <= set(found.inputs) else plain(step)
