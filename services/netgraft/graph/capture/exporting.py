"""A recording by `torch.export`: every operator, with shapes as formulas over the batch.

Runs on meta tensors, so it costs no weights and no arithmetic. `torch.export` is
not safe in several threads at once: callers hold `capture`'s lock.
"""

import operator
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from typing import Any

import torch
import torch.fx.config
from torch import Tensor, fx, nn
from torch.export import Dim, ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

from netgraft.graph.capture.recording import (
    BATCH,
    Argument,
    Frame,
    Recording,
    Step,
    Value,
    Weight,
)
from netgraft.graph.capture.recording import Dim as Size
from netgraft.models.dtypes import short

EXAMPLE_BATCH = 2
"""torch.export treats sizes 0 and 1 as constants, so the example batch holds two."""


def export(module: nn.Module, inputs: tuple[Any, ...]) -> Recording:
    """Record `module(*inputs)`; every dimension 0 of size EXAMPLE_BATCH becomes the batch "N".

    Raises whatever torch.export raises when it cannot export the model's code.
    """
    shapes = pytree.tree_map(_dynamic, inputs)
    with _quietly():
        program = torch.export.export(module, inputs, dynamic_shapes=shapes, strict=False)
    return _Reader(program).recording("export")


def has_batch(inputs: tuple[Any, ...]) -> bool:
    """True if some input has a batch that can be symbolic; lists of pictures have none."""
    return any(_dynamic(leaf) for leaf in pytree.tree_leaves(inputs))


def _dynamic(leaf: Any) -> dict[int, Any] | None:
    batched = isinstance(leaf, Tensor) and leaf.ndim > 1 and leaf.shape[0] == EXAMPLE_BATCH
    return {0: Dim.DYNAMIC} if batched else None


@contextmanager
def _quietly() -> Iterator[None]:
    # Stack traces cost a quarter of the time and would name the server's files. On a
    # failure torch.export prints the whole graph so far to stderr.
    before = torch.fx.config.do_not_emit_stack_traces
    torch.fx.config.do_not_emit_stack_traces = True
    try:
        with redirect_stderr(StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.fx.config.do_not_emit_stack_traces = before


class _Reader:
    """Reads an exported program in one pass over its nodes."""

    def __init__(self, program: ExportedProgram) -> None:
        self.program = program
        self.known: dict[fx.Node, Argument] = {}
        self.steps: list[Step] = []
        self.inputs: list[Value] = []
        self.texts: dict[Any, Size] = {}
        self.memory: dict[int, list[fx.Node]] = {}
        self.batch = ""
        self.first: Any = None
        self.others: dict[Any, Any] = {}

    def recording(self, method: str) -> Recording:
        specs = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        outputs: tuple[tuple[str, Value | Weight], ...] = ()
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.known[node] = self._placeholder(node, specs[node.name])
            elif node.op == "call_function":
                self._call(node)
            elif node.op == "output":
                outputs = self._outputs(node)
        return Recording(method, tuple(self.inputs), outputs, tuple(self.steps))

    def _placeholder(self, node: fx.Node, spec: Any) -> Argument:
        tensor = node.meta["val"]
        if not isinstance(tensor, Tensor):
            return None
        if spec.kind == InputKind.USER_INPUT:
            self._learn_batch(tensor)
            value = Value(node.name, _dtype(tensor), self._shape(tensor))
            self.inputs.append(value)
            self._remember(node)
            return value
        trainable = spec.kind == InputKind.PARAMETER and (
            self.program.state_dict[spec.target].requires_grad
        )
        return Weight(spec.target or node.name, _dtype(tensor), self._shape(tensor), trainable)

    def _learn_batch(self, tensor: Tensor) -> None:
        size: Any = tensor.shape[0] if tensor.ndim else 0
        if not isinstance(size, torch.SymInt):
            return
        if not self.batch:
            self.batch, self.first = str(size), size.node.expr
        elif str(size) != self.batch:  # torch keeps a batch for each input; it is the same one
            self.others[size.node.expr] = self.first

    def _call(self, node: fx.Node) -> None:
        if node.target is operator.getitem:
            source, index = node.args[:2]
            made = self.known[source] if isinstance(source, fx.Node) else None
            part = made[index] if isinstance(made, tuple) and isinstance(index, int) else None
            self.known[node] = part
            self._remember(node)
            return
        result = node.meta.get("val")
        if isinstance(result, Tensor):
            self.known[node] = Value(node.name, _dtype(result), self._shape(result))
        elif isinstance(result, list | tuple):
            self.known[node] = tuple(
                Value(f"{node.name}_{index}", _dtype(part), self._shape(part))
                if isinstance(part, Tensor)
                else None
                for index, part in enumerate(result)
            )
        else:  # a size, or a check without a result: not drawn
            self.known[node] = self._size(result)
            return
        self.steps.append(self._step(node))
        self._remember(node)

    def _step(self, node: fx.Node) -> Step:
        made = self.known[node]
        parts = made if isinstance(made, tuple) else (made,)
        arguments = dict(self._arguments(node))
        parts += tuple(self._rewritten(node))
        return Step(
            target=_target(node.target),
            arguments=arguments,
            outputs=tuple(part for part in parts if isinstance(part, Value)),
            frames=_frames(node),
        )

    def _remember(self, node: fx.Node) -> None:
        value = node.meta.get("val")
        if isinstance(value, Tensor):
            self.memory.setdefault(value.untyped_storage()._cdata, []).append(node)

    def _rewritten(self, node: fx.Node) -> Iterator[Value]:
        """New values for the tensors that a write changes because they share its memory.

        The exported graph has no edge from a write into a view to a later read of what
        it is a view of; the memory that both stand for shows it.
        """
        schema = getattr(node.target, "_schema", None)
        if schema is None or not schema.is_mutable:
            return
        for argument, value in zip(schema.arguments, node.args, strict=False):
            if argument.is_write and isinstance(value, fx.Node):
                storage = value.meta["val"].untyped_storage()._cdata
                for index, other in enumerate(self.memory.get(storage, [])):
                    old = self.known[other]
                    assert isinstance(old, Value)
                    new = Value(f"{node.name}_after_{index}", old.dtype, old.shape)
                    self.known[other] = new
                    yield new

    def _arguments(self, node: fx.Node) -> Iterator[tuple[str, Argument]]:
        schema = getattr(node.target, "_schema", None)
        names = [a.name for a in schema.arguments] if schema else []
        for index, argument in enumerate(node.args):
            name = names[index] if index < len(names) else str(index)
            yield name, self._argument(argument)
        for name, argument in node.kwargs.items():
            yield name, self._argument(argument)

    def _argument(self, argument: Any) -> Argument:
        if isinstance(argument, fx.Node):
            return self.known.get(argument)
        if isinstance(argument, list | tuple):
            return tuple(self._argument(part) for part in argument)
        if isinstance(argument, bool | int | float | str) or argument is None:
            return argument
        return short(argument)

    def _outputs(self, node: fx.Node) -> tuple[tuple[str, Value | Weight], ...]:
        specs = self.program.graph_signature.output_specs
        made: Any = node.args[0]
        leaves = [
            self._argument(part)
            for part, spec in zip(made, specs, strict=True)
            if spec.kind == OutputKind.USER_OUTPUT
        ]
        names = output_names(self.program.call_spec.out_spec, len(leaves))
        return tuple(
            (name, leaf)
            for name, leaf in zip(names, leaves, strict=True)
            if isinstance(leaf, Value | Weight)
        )

    def _shape(self, tensor: Tensor) -> tuple[Size, ...]:
        return tuple(self._size(size) for size in tensor.shape)  # type: ignore[misc]

    def _size(self, size: Any) -> Argument:
        if not isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool):
            return size if isinstance(size, int | float | bool) else None
        formula = str(size.node.expr.xreplace(self.others) if self.others else size)
        if formula not in self.texts:
            text = formula.replace(self.batch, BATCH) if self.batch else formula
            self.texts[formula] = text.replace("*", "·").replace(" ", "")
        return self.texts[formula]


def output_names(spec: Any, count: int) -> Sequence[str]:
    """Names for the leaves of what a model returns, from the keys that lead to them."""
    if spec is None or count == 1:
        return ["output"] * count
    leaves = pytree.tree_flatten_with_path(spec.unflatten(range(count)))[0]
    return [_words(path) for path, _ in leaves]


def _words(path: Sequence[Any]) -> str:
    """ "out" for {"out": …}, "output[0]" for a tuple's first."""
    text = "".join(
        f".{key.key}" if isinstance(key, pytree.MappingKey) else str(key) for key in path
    )
    return text.lstrip(".") if text.startswith(".") else f"output{text}"


def _dtype(tensor: Tensor) -> str:
    return short(tensor.dtype)


def _target(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    return f"torch.{getattr(target, '__name__', target)}.default"


def _frames(node: fx.Node) -> tuple[Frame, ...]:
    stack = node.meta.get("nn_module_stack") or {}
    return tuple(
        Frame(
            path, kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}", key
        )
        for key, (path, kind) in stack.items()
        if not path.startswith("_empty_nn_module_stack")
    )
