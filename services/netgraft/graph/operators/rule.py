"""The result of a rule (an Operator), and the registry of all rules."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from netgraft.graph.capture.recording import Argument, Step, Value, Weight, tensors

TORCH = "torch"
"""Domain of operators without a counterpart in ONNX."""


@dataclass(frozen=True)
class Constant:
    """Small numbers that belong to an operator's settings."""

    values: tuple[int, ...] | tuple[float, ...]
    scalar: bool = False

    @property
    def dtype(self) -> str:
        return "float32" if any(isinstance(value, float) for value in self.values) else "int64"


Slot = Value | Weight | Constant | None
Attribute = int | float | str | tuple[int, ...] | tuple[float, ...]


@dataclass(frozen=True)
class Operator:
    """A step as the picture shows it."""

    type: str
    inputs: tuple[Slot, ...]
    """In the order of the ONNX schema; None for an optional input that is left out."""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    """ "" is ONNX's own."""
    input_names: tuple[str, ...] = ()
    """Only where the domain is not ONNX's."""


Rule = Callable[[Step], Operator | None]
RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for aten operators. A rule returns None where no counterpart is exact."""

    def enter(function: Rule) -> Rule:
        RULES.update({f"aten.{name}": function for name in operators})
        return function

    return enter


def enter(operators: Iterable[str], function: Rule) -> None:
    rule(*operators)(function)


def plain(step: Step) -> Operator:
    """A step under its PyTorch name, with all its arguments."""
    inputs: list[Slot] = []
    names: list[str] = []
    attributes: dict[str, Attribute] = {}
    for name, argument in step.arguments.items():
        found = tuple(tensors(argument))
        if found:
            inputs += found
            names += [name] if len(found) == 1 else [f"{name}[{i}]" for i in range(len(found))]
        elif (attribute := _attribute(argument)) is not None:
            attributes[name] = attribute
    namespace, _, name = step.operator.rpartition(".")
    domain = TORCH if namespace == "aten" else namespace
    return Operator(name.strip("_"), tuple(inputs), attributes, domain, tuple(names))


def _attribute(argument: Argument) -> Attribute | None:
    if isinstance(argument, bool):
        return int(argument)
    if isinstance(argument, int | float | str):
        return argument
    if not isinstance(argument, tuple) or not argument:
        return None
    if all(isinstance(part, int) for part in argument):
        return tuple(int(part) for part in argument)  # type: ignore[arg-type]
    if all(isinstance(part, int | float) for part in argument):
        return tuple(float(part) for part in argument)  # type: ignore[arg-type]
    return ", ".join(str(part) for part in argument)


# Reading a step's arguments


def slot(step: Step, name: str) -> Slot:
    """A tensor argument; a number becomes a scalar constant."""
    argument = step.arguments.get(name)
    if isinstance(argument, bool | int | float):
        value = argument if isinstance(argument, float) else int(argument)
        return Constant((value,), scalar=True)
    return argument if isinstance(argument, Value | Weight) else None


def number(step: Step, name: str, default: float = 0) -> float:
    argument = step.arguments.get(name, default)
    return argument if isinstance(argument, int | float) else default


def whole(step: Step, name: str, default: int = 0) -> int:
    return int(number(step, name, default))


def wholes(step: Step, name: str, rank: int, default: int) -> tuple[int, ...]:
    """A list of `rank` numbers; one number stands for all."""
    argument = step.arguments.get(name)
    if isinstance(argument, tuple) and argument:
        numbers = tuple(part for part in argument if isinstance(part, int))
        return numbers * rank if len(numbers) == 1 else numbers
    return (argument if isinstance(argument, int) else default,) * rank


def shape(step: Step, name: str) -> tuple[int | str, ...]:
    """Shape of a tensor argument; () if it is not a tensor."""
    tensor = step.arguments.get(name)
    return tensor.shape if isinstance(tensor, Value | Weight) else ()


def axis(step: Step, name: str, of: str = "self", default: int = 0) -> int:
    """A dimension, counted from the front."""
    value = whole(step, name, default)
    return value + len(shape(step, of)) if value < 0 else value
