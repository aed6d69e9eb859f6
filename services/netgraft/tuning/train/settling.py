"""Batch norms settled: their statistics averaged over training batches, before a measurement.

A running average of the last batches belongs to weights that have moved on since, and after a
short run mostly to the start: a model that answers every training batch well may then answer
nothing in eval mode. After "precise batch norm" (Wu and Johnson, arXiv:2105.07576, section 3).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netgraft.models.layers.norms import frozen_norms


def settling(module: nn.Module) -> list[_BatchNorm]:
    """The norms whose statistics move in training."""
    frozen = set(frozen_norms(module))
    return [
        each
        for each in module.modules()
        if isinstance(each, _BatchNorm) and each.track_running_stats and each not in frozen
    ]


@contextmanager
def settled(
    module: nn.Module,
    passes: Iterable[Callable[[], object]],
    over_ranks: Callable[[list[Tensor]], None] = lambda _: None,
) -> Iterator[None]:
    """Within the block the module's norms have the statistics of some batches.

    Each of `passes` runs one batch through the module, in eval mode except for the norms;
    `over_ranks` makes tensors their mean over the ranks, in place. Afterwards the norms have what
    they had: a measurement only reads.
    """
    norms = settling(module)
    before = [_statistics(norm) for norm in norms]
    try:
        if norms:
            _settle(module, norms, passes)
            over_ranks([each for norm in norms for each in _averaged(norm)])
        module.eval()
        yield
    finally:
        for norm, values in zip(norms, before, strict=True):
            _set(norm, values)


def settle(
    module: nn.Module,
    passes: Iterable[Callable[[], object]],
    over_ranks: Callable[[list[Tensor]], None] = lambda _: None,
) -> None:
    """Give the module's norms the statistics of some batches, to keep."""
    norms = settling(module)
    with settled(module, passes, over_ranks):
        found = [{name: v.clone() for name, v in _statistics(norm).items()} for norm in norms]
    for norm, values in zip(norms, found, strict=True):
        for name, value in _statistics(norm).items():
            value.copy_(values[name])


def _settle(
    module: nn.Module, norms: list[_BatchNorm], passes: Iterable[Callable[[], object]]
) -> None:
    momenta = [norm.momentum for norm in norms]
    before = [_statistics(norm) for norm in norms]
    module.eval()
    for norm, values in zip(norms, before, strict=True):
        _set(norm, {name: value.clone() for name, value in values.items()})
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over all batches
        norm.train()
    with torch.no_grad():
        for run in passes:
            run()
    for norm, momentum, values in zip(norms, momenta, before, strict=True):
        norm.momentum = momentum
        if not norm.num_batches_tracked:
            _set(norm, values)  # such as an auxiliary head's, which eval mode leaves out


def _averaged(norm: _BatchNorm) -> list[Tensor]:
    return [value for value in norm.buffers(recurse=False) if value.is_floating_point()]


def _statistics(norm: _BatchNorm) -> dict[str, Tensor]:
    return dict(norm.named_buffers(recurse=False))


def _set(norm: _BatchNorm, values: dict[str, Tensor]) -> None:
    for name, value in values.items():
        setattr(norm, name, value)
