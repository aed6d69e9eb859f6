"""Finds the heads of a model by tracing it, with no table of models.

One forward pass on meta tensors, then a walk back from each output (`walk`);
`roles` works out what such a layer means. Training mode is traced too
where evaluation leaves weights unused: those belong to auxiliary heads.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from netgraft.anatomy.roles import Candidate, is_detection, meanings
from netgraft.anatomy.standin import StandIn
from netgraft.anatomy.traces import Output, Trace
from netgraft.anatomy.walk import Found, heads_behind, parameters_behind

FEW = 2
"""Boxes that a detector goes on with: enough to see every layer work."""


@dataclass(frozen=True)
class _Leaf:
    key: str
    tensor: Tensor
    found: tuple[Found, ...]


@dataclass(frozen=True)
class _Pass:
    """One forward pass. Holds the parameters, so that their ids stay theirs."""

    parameters: Mapping[str, Tensor]
    leaves: tuple[_Leaf, ...]

    def unused(self) -> set[str]:
        """Weights (two dimensions or more) that no output comes from."""
        names = {id(tensor): name for name, tensor in self.parameters.items()}
        used = parameters_behind([leaf.tensor for leaf in self.leaves], names)
        return {name for name, p in self.parameters.items() if p.dim() >= 2} - used


def trace(module: nn.Module, inputs: Sequence[Any]) -> Trace:
    """Trace a module that is on the meta device with example inputs there (batch ≥ 2).

    The module's mode and the global random state are left as they were. Errors of
    the module's own forward pass are not caught.
    """
    was_training = module.training
    try:
        with torch.random.fork_rng(devices=[]), StandIn(keep=FEW):
            seen = _forward(module.eval(), inputs)
            detector = is_detection(leaf.key for leaf in seen.leaves)
            # A detector in training wants targets and returns losses: nothing to read there.
            extra = not detector and seen.unused()
            trained = _forward(module.train(), inputs) if extra else _Pass({}, ())
    finally:
        module.train(was_training)
    candidates = [*_candidates(seen, False), *_candidates(trained, True)]
    heads = meanings(module, candidates, detector=detector)
    return Trace(heads, _outputs(seen), _outputs(trained))


def _forward(module: nn.Module, inputs: Sequence[Any]) -> _Pass:
    parameters, result = call(module, inputs)
    names = {id(tensor): name for name, tensor in parameters.items()}
    leaves = (_Leaf(key, t, tuple(heads_behind(t, names))) for key, t in tensors_in(result))
    return _Pass(parameters, tuple(leaves))


def call(module: nn.Module, inputs: Sequence[Any]) -> tuple[dict[str, Tensor], Any]:
    """Call a module with copies of its parameters that all require a gradient.

    Returns the copies by name and the result. Frozen layers are seen like others,
    and PyTorch's fused inference kernels, which hide what they multiply, are not used.
    """
    parameters = {
        name: p.detach().clone().requires_grad_(p.is_floating_point())
        for name, p in module.named_parameters()
    }
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    with torch.enable_grad():
        return parameters, functional_call(module, {**parameters, **buffers}, tuple(inputs))


def tensors_in(result: Any, key: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of a result of any nesting, each with its place in it."""
    if isinstance(result, Tensor):
        yield key, result
        return
    for name, value in _parts(result):
        yield from tensors_in(value, f"{key}.{name}" if key else str(name))


def _parts(result: Any) -> Iterator[tuple[object, Any]]:
    if isinstance(result, Mapping):
        yield from result.items()
    elif hasattr(result, "_fields"):  # a named tuple, such as InceptionOutputs
        yield from zip(result._fields, result, strict=True)
    elif isinstance(result, list | tuple):
        yield from enumerate(result)
    elif is_dataclass(result):
        yield from ((field.name, getattr(result, field.name)) for field in fields(result))


def _candidates(seen: _Pass, training: bool) -> Iterator[Candidate]:
    for leaf in seen.leaves:
        for found in leaf.found:
            shape = tuple(seen.parameters[found.weight].shape)
            yield Candidate(found, shape, leaf.key, tuple(leaf.tensor.shape), training)


def _outputs(seen: _Pass) -> tuple[Output, ...]:
    return tuple(
        Output(leaf.key, tuple(leaf.tensor.shape), tuple(f.path for f in leaf.found))
        for leaf in seen.leaves
    )
