"""A model's operations as TensorBoard's graph: boxes of modules, and what flows between them.

One forward on meta tensors is watched: nothing is computed, and no weights are needed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.versions_pb2 import VersionDef
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netgraft.anatomy.heads import tensors_in

INPUT = "input"


class _Watched(TorchDispatchMode):
    """Notes each operator with the module that runs it, and which operators gave its inputs."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.graph = GraphDef(versions=VersionDef(producer=22))
        self.scope: list[str] = []
        self._made: dict[int, str] = {}
        self._kept: list[Tensor] = []
        """What has an entry in `_made`: an id belongs to another tensor once its own is gone."""
        self._names = Counter[str]()
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            self.add(name.replace(".", "/"), "parameter", (), (tensor,))

    def add(self, name: str, operator: str, given: Any, made: Any) -> None:
        """Note an operator; `given` and `made` may be nested."""
        self._names[name] += 1
        if (number := self._names[name]) > 1:
            name = f"{name}_{number}"
        inputs = [self._made[id(each)] for _, each in tensors_in(given) if id(each) in self._made]
        self.graph.node.add(name=name, op=operator, input=dict.fromkeys(inputs))
        for _, tensor in tensors_in(made):
            self._made[id(tensor)] = name
            self._kept.append(tensor)

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        operator = str(func.overloadpacket).rpartition(".")[2]
        scope = f"{self.scope[-1]}/" if self.scope and self.scope[-1] else ""
        self.add(scope + operator, operator, (args, kwargs or {}), made)
        return made


def graph(module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The graph of a module that is on meta, for inputs of a shape.

    Raises what the module raises for it.
    """
    watched = _Watched(module.eval())
    x = torch.empty(shape, device="meta")
    watched.add(INPUT, INPUT, (), (x,))
    with _scopes(module, watched), torch.no_grad(), watched:
        module(x)
    return watched.graph


@contextmanager
def _scopes(module: nn.Module, watched: _Watched) -> Iterator[None]:
    """Within the block, the watcher knows which module runs."""
    with ExitStack() as hooks:
        for name, part in module.named_modules():
            path = name.replace(".", "/")

            def begin(*_: Any, path: str = path) -> None:
                watched.scope.append(path)

            def end(*_: Any) -> None:
                watched.scope.pop()

            hooks.callback(part.register_forward_pre_hook(begin).remove)
            hooks.callback(part.register_forward_hook(end).remove)
        yield
