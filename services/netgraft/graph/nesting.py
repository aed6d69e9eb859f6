"""From the flat recording to a graph of modules within modules.

Steps that one call of a module ran become a Group, groups lie within groups as the
calls did. A module that holds a single operator is drawn as that operator, and a
module that holds a single module as that module: a box around a single box says nothing new.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netgraft.graph.capture.recording import Frame, Recording, Step, Value, Weight, values_of
from netgraft.graph.capture.rounds import with_rounds
from netgraft.graph.operators import Operator, translate

IDENTITIES = frozenset(
    f"aten.{name}"
    for name in ("alias", "clone", "contiguous", "detach", "lift", "lift_fresh", "lift_fresh_copy")
)
"""Operators that change neither numbers nor shapes: not worth a box."""

CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})
"""Classes whose names say nothing about their contents."""


@dataclass(frozen=True)
class Size:
    """The number of parameters of a module, in all and trainable."""

    parameters: int = 0
    trainable: int = 0


@dataclass(frozen=True)
class Operation:
    """One operator in the picture."""

    name: str
    """Unique in the graph: the module's path, or the module's path / the operator."""
    operator: Operator
    outputs: tuple[Value, ...]
    step: Step = field(repr=False)
    """What ran."""
    module: str
    """Path of the module whose code ran it."""
    type: str = ""
    """Class of the module when it holds nothing else, such as "Conv2d"."""

    @property
    def target(self) -> str:
        """The operator's name in PyTorch."""
        return self.step.target.removesuffix(".default")


@dataclass(frozen=True)
class Group:
    """One call of a module, with what happened in it."""

    name: str
    """Unique in the graph: the module's path, with @2, @3… for later calls."""
    module: str
    type: str
    nodes: tuple["Operation | Group", ...] = field(repr=False)
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


Node = Operation | Group


@dataclass(frozen=True)
class Graph:
    """A model, ready to be drawn."""

    method: str
    type: str
    """Class of the model."""
    nodes: tuple[Node, ...] = field(repr=False)
    inputs: tuple[Value, ...]
    outputs: tuple[tuple[str, Value | Weight], ...]
    sizes: Mapping[str, Size] = field(default_factory=dict, repr=False)
    """By module path; "" is the model. A module without parameters is left out."""
    examples: int = 0
    """See `Recording.examples`."""

    def size(self, module: str = "") -> Size:
        return self.sizes.get(module, Size())

    def operations(self) -> Iterator[Operation]:
        """All operators at all levels, in the order in which they ran."""
        return operations(self.nodes)


def operations(nodes: Sequence[Node]) -> Iterator[Operation]:
    """All operators in some nodes, at all levels."""
    for node in nodes:
        if isinstance(node, Group):
            yield from operations(node.nodes)
        else:
            yield node


def nest(recording: Recording, sizes: Mapping[str, Size] | None = None) -> Graph:
    """The graph of a recording; `sizes` say how large its modules are."""
    steps, outputs = _without_identities(recording)
    steps = with_rounds(steps)
    reads = last_reads(steps, outputs)
    root = next((step.frames[0].type for step in steps if step.frames), "")
    nodes = _Nester(steps, reads).nodes(0, len(steps), depth=1)
    return Graph(
        recording.method,
        root,
        nodes,
        recording.inputs,
        outputs,
        sizes or {},
        recording.examples,
    )


def _without_identities(
    recording: Recording,
) -> tuple[list[Step], tuple[tuple[str, Value | Weight], ...]]:
    """The steps that do something; values that passed through the others are renamed."""
    same: dict[Value, Value | Weight] = {}

    def real(argument: object) -> object:
        if isinstance(argument, tuple):
            return tuple(real(part) for part in argument)
        return same.get(argument, argument) if isinstance(argument, Value) else argument

    steps: list[Step] = []
    frames: tuple[Frame, ...] = ()
    for step in recording.steps:
        # Steps that lie in no module (torch.export moves some) stay with their neighbours.
        frames = step.frames or frames
        arguments = {name: real(argument) for name, argument in step.arguments.items()}
        source = next(iter(arguments.values()), None)
        if _changes_nothing(step, source):
            same[step.outputs[0]] = source  # type: ignore[assignment]
        else:
            steps.append(Step(step.target, arguments, step.outputs, frames))  # type: ignore[arg-type]
    outputs = tuple((name, real(value)) for name, value in recording.outputs)
    return steps, outputs  # type: ignore[return-value]


def _changes_nothing(step: Step, source: object) -> bool:
    if not isinstance(source, Value | Weight) or len(step.outputs) != 1:
        return False
    made = step.outputs[0]
    alike = (made.dtype, made.shape) == (source.dtype, source.shape)
    # A slice without bounds, a cast to the same type, a reshape to the same shape.
    moves = step.operator in ("aten.slice", "aten.to", "aten._to_copy", "aten.view", "aten.reshape")
    return alike and (step.operator in IDENTITIES or moves)


def last_reads(
    steps: Sequence[Step], outputs: Sequence[tuple[str, Value | Weight]]
) -> dict[Value, int]:
    """Return the index of the step that reads each value last; outputs are read after the end."""
    reads = {value: index for index, step in enumerate(steps) for value in values_of(step)}
    return reads | {value: len(steps) for _, value in outputs if isinstance(value, Value)}


class _Nester:
    def __init__(self, steps: Sequence[Step], reads: dict[Value, int]) -> None:
        self.steps = steps
        self.reads = reads
        self.names: dict[str, int] = {}

    def nodes(self, start: int, end: int, depth: int) -> tuple[Node, ...]:
        """Nodes for steps[start:end], all of which lie in the same module call at `depth`."""
        made: list[Node] = []
        index = start
        while index < end:
            frame = _frame(self.steps[index], depth)
            after = index + 1
            if frame is None:
                made.append(self._operation(index))
            else:
                while after < end and _frame(self.steps[after], depth) == frame:
                    after += 1
                made.append(self._module(frame, index, after, depth))
            index = after
        return tuple(made)

    def _module(self, frame: Frame, start: int, end: int, depth: int) -> Node:
        """One call of a module. A chain of modules in modules is drawn as one of them."""
        if end - start == 1:
            return self._operation(start)
        while (only := self._only_child(start, end, depth + 1)) is not None:
            depth += 1
            frame = only if frame.type in CONTAINERS else frame
        nodes = self.nodes(start, end, depth + 1)
        inputs, outputs = self._boundary(start, end)
        return Group(self._name(frame.path), frame.path, frame.type, nodes, inputs, outputs)

    def _only_child(self, start: int, end: int, depth: int) -> Frame | None:
        children = {_frame(step, depth) for step in self.steps[start:end]}
        return children.pop() if len(children) == 1 else None

    def _boundary(self, start: int, end: int) -> tuple[tuple[Value, ...], tuple[Value, ...]]:
        """The values that steps[start:end] read from outside, and their own that others read."""
        inside = [value for step in self.steps[start:end] for value in step.outputs]
        made = set(inside)
        read = dict.fromkeys(
            value
            for step in self.steps[start:end]
            for value in values_of(step)
            if value not in made
        )
        return tuple(read), tuple(value for value in inside if self.reads.get(value, -1) >= end)

    def _operation(self, index: int) -> Operation:
        step = self.steps[index]
        frame = step.frames[-1] if step.frames else Frame("", "", "")
        alone = frame.path != "" and not any(
            neighbour.frames[: len(step.frames)] == step.frames
            for neighbour in self.steps[max(index - 1, 0) : index + 2]
            if neighbour is not step
        )
        word = step.operator.rpartition(".")[2].strip("_")
        name = frame.path if alone else f"{frame.path}/{word}".lstrip("/")
        return Operation(
            name=self._name(name),
            operator=translate(step),
            outputs=self._outputs(step),
            step=step,
            module=frame.path,
            type=frame.type if alone else "",
        )

    def _outputs(self, step: Step) -> tuple[Value, ...]:
        """The outputs up to the last one that is read; unused ones at the end are not shown."""
        read = [index for index, value in enumerate(step.outputs) if value in self.reads]
        return step.outputs[: read[-1] + 1] if read else step.outputs[:1]

    def _name(self, name: str) -> str:
        count = self.names[name] = self.names.get(name, 0) + 1
        return name if count == 1 else f"{name}@{count}"


def _frame(step: Step, depth: int) -> Frame | None:
    return step.frames[depth] if len(step.frames) > depth else None
