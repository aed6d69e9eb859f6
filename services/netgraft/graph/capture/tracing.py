"""A recording by watching one forward run: for models whose code `torch.export` cannot take.

Hooks say which module is being called; a dispatch mode sees every operator, with
the tensors that go in and come out. Nothing is inferred: an edge means that this very tensor
was passed along it. On meta tensors it costs no arithmetic; where the
code reads values (detection models do) it must run on the CPU.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from netgraft.graph.capture.exporting import output_names
from netgraft.graph.capture.recording import Argument, Frame, Recording, Step, Value, Weight
from netgraft.models.dtypes import short

TORCH = f"{Path(torch.__file__).parent}/"
"""Functions in this folder wrap operators; they are not the model's code."""

FUNCTION = "function"
"""Used in place of a class name for a function that is not a module's forward."""


def trace(module: nn.Module, inputs: tuple[Any, ...], examples: int = 1) -> Recording:
    """Record `module(*inputs)`, a batch of `examples` examples, on the device of both.

    Raises whatever the forward raises.
    """
    watcher = _Watcher(module)
    leaves = pytree.tree_leaves(inputs)
    names = [f"input_{index}" if len(leaves) > 1 else "input" for index in range(len(leaves))]
    arguments = tuple(
        watcher.new_value(leaf, name)
        for leaf, name in zip(leaves, names, strict=True)
        if isinstance(leaf, Tensor)
    )
    # Under inference mode composite operators (linear, conv2d…) arrive whole.
    with torch.inference_mode(), watcher.hooks(), watcher:
        result = module(*inputs)
    made, spec = pytree.tree_flatten(result)
    outputs = zip(output_names(spec, len(made)), map(watcher.argument, made), strict=True)
    return Recording(
        "modules",
        arguments,
        tuple((name, leaf) for name, leaf in outputs if isinstance(leaf, Value | Weight)),
        tuple(watcher.steps),
        examples,
    )


class _Watcher(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.module = module
        self.steps: list[Step] = []
        self.frames: list[Frame] = []
        self.running: list[nn.Module] = []
        self.calls: dict[str, int] = {}
        self.count = 0
        self.known = WeakIdKeyDictionary()
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            trainable = isinstance(tensor, nn.Parameter) and tensor.requires_grad
            self.known[tensor] = Weight(name, _dtype(tensor), tuple(tensor.shape), trainable)

    # Modules

    @contextmanager
    def hooks(self) -> Iterator[None]:
        handles = []
        for path, module in self.module.named_modules():
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            handles.append(module.register_forward_pre_hook(self._enter(path, kind)))
            handles.append(module.register_forward_hook(self._leave, always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, path: str, kind: str) -> Any:
        def hook(module: nn.Module, _inputs: Any) -> None:
            self.running.append(module)
            call = self.calls[path] = self.calls.get(path, -1) + 1
            self.frames.append(Frame(path, kind, f"{path}@{call}"))

        return hook

    def _leave(self, _module: nn.Module, _inputs: Any, _outputs: Any) -> None:
        self.frames.pop()
        self.running.pop()

    def _function(self) -> Iterator[Frame]:
        """The function that the running module's forward called to come here, as a frame.

        Models that need watching do much in plain methods (`postprocess_detections` runs
        over a thousand operators); calls from one line, such as a loop's, are one frame.
        """
        frame: FrameType | None = sys._getframe(1)
        inner: FrameType | None = None
        while frame is not None and not self._is_forward(frame):
            frame, inner = frame.f_back, frame
        if frame is None or inner is None:
            return
        code = inner.f_code
        if not code.co_filename.startswith(TORCH) and code.co_name.isidentifier():
            owner = self.frames[-1]
            name = f"{owner.path}.{code.co_name}()".lstrip(".")
            yield Frame(name, FUNCTION, f"{owner.key}/{code.co_name}:{frame.f_lineno}")

    def _is_forward(self, frame: FrameType) -> bool:
        name = frame.f_code.co_name
        return name == "forward" and frame.f_locals.get("self") is self.running[-1]

    # Operators

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        bound = _bound(func, args, kwargs)
        arguments = {schema.name: self.argument(value) for schema, value in bound}
        result = func(*args, **kwargs)
        made = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        made += self._rewritten(func, args, kwargs, made)
        outputs = [self.new_value(leaf, f"{func._opname.strip('_')}_{self.count}") for leaf in made]
        if outputs:
            frames = (*self.frames, *self._function())
            self.steps.append(Step(str(func), arguments, tuple(outputs), frames))
        return result

    def argument(self, value: Any) -> Argument:
        """The value as a recording holds it."""
        if isinstance(value, Tensor):
            return self._tensor(value)
        if isinstance(value, list | tuple):
            return tuple(self.argument(part) for part in value)
        if isinstance(value, bool | int | float | str) or value is None:
            return value
        return short(value)

    def _tensor(self, tensor: Tensor) -> Value | Weight:
        if tensor not in self.known:  # made outside the forward, such as a cached anchor
            self.count += 1
            name = f"constant_{self.count}"
            self.known[tensor] = Weight(name, _dtype(tensor), tuple(tensor.shape))
        known: Value | Weight = self.known[tensor]
        return known

    def new_value(self, tensor: Tensor, name: str) -> Value:
        """Register a tensor that was just made or written: later reads refer to the new value."""
        self.count += 1
        value = Value(name, _dtype(tensor), tuple(tensor.shape))
        self.known[tensor] = value
        return value

    def _rewritten(
        self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], made: list[Tensor]
    ) -> list[Tensor]:
        """The other tensors that a write changes, because they share its memory."""
        if not func._schema.is_mutable:
            return []
        written = {
            tensor.untyped_storage()._cdata
            for schema, value in _bound(func, args, kwargs)
            if schema.is_write
            for tensor in pytree.tree_leaves(value)
            if isinstance(tensor, Tensor)
        }
        results = {id(tensor) for tensor in made}
        return [
            tensor
            for tensor, known in list(self.known.items())  # type: ignore[no-untyped-call]
            if isinstance(known, Value)
            and id(tensor) not in results
            and tensor.untyped_storage()._cdata in written
        ]


def _bound(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Arguments of a call with what the schema says of them."""
    schemas = {schema.name: schema for schema in func._schema.arguments}
    yield from zip(func._schema.arguments, args, strict=False)
    yield from ((schemas[name], value) for name, value in kwargs.items())


def _dtype(tensor: Tensor) -> str:
    return short(tensor.dtype)
