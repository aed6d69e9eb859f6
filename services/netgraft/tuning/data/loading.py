"""From examples to batches: order, prefetching, and pixels to numbers.

Batches are made ahead by threads: decoding releases the interpreter lock, and a process
that Ray and gloo have threads in must not be forked. The caller decides what a label becomes
(`collate`): this package knows no task.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch
from torch import Tensor

from netgraft.tuning.data.examples import Examples

T = TypeVar("T")

Collate = Callable[[list[tuple[Tensor, Any]]], T]
"""Makes a batch of pairs of x_CHW (uint8) and label."""

AHEAD = 3
"""Batches made before they are asked for."""


def epoch_order(
    examples: int,
    batch_size: int,
    *,
    epoch: int,
    seed: int,
    rank: int = 0,
    workers: int = 1,
    labels: Sequence[int] = (),
) -> list[list[int]]:
    """This worker's batches of an epoch, as lists of indices.

    Every worker shuffles alike and takes its own equal share of each batch. Examples that do
    not fill a batch are left out of this epoch, so that all steps weigh the same. With `labels`,
    one of each example, all classes come equally often, and examples of rare ones again and again.
    """
    generator = torch.Generator().manual_seed(hash((seed, epoch)) % 2**63)
    order = torch.randperm(examples, generator=generator).tolist()
    if labels:
        order = _evenly(order, labels, generator)
    share = batch_size // workers
    starts = range(0, steps_per_epoch(examples, batch_size) * batch_size, batch_size)
    return [order[start + rank * share : start + (rank + 1) * share] for start in starts]


def _evenly(order: list[int], labels: Sequence[int], generator: torch.Generator) -> list[int]:
    """As many examples as `order` has, each class as often as the others; rare ones repeat."""
    of_class: dict[int, list[int]] = {}
    for index in order:
        of_class.setdefault(labels[index], []).append(index)
    each = -(-len(order) // len(of_class))
    drawn = [own[place % len(own)] for own in of_class.values() for place in range(each)]
    shuffled = torch.randperm(len(drawn), generator=generator).tolist()
    return [drawn[place] for place in shuffled][: len(order)]


def steps_per_epoch(examples: int, batch_size: int) -> int:
    """Full batches in a pass over the examples."""
    return examples // batch_size


def measured_order(examples: int, batch_size: int, rank: int, workers: int) -> list[list[int]]:
    """This worker's part of all examples, each in exactly one worker's batches."""
    mine = range(rank, examples, workers)
    return [list(mine[i : i + batch_size]) for i in range(0, len(mine), batch_size)]


def load(
    examples: Examples,
    order: Sequence[Sequence[int]],
    collate: Collate[T],
    *,
    seed: int | None,
    threads: int = 1,
) -> Iterator[T]:
    """Batches in the given order.

    With a seed each picture is augmented by the seed and its index. Raises InvalidData.
    """

    def made(indices: Sequence[int]) -> T:
        return collate(
            [examples.get(i, None if seed is None else hash((seed, i)) % 2**63) for i in indices]
        )

    waiting: deque[Future[T]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="load") as pool:
        try:
            for indices in order:
                waiting.append(pool.submit(made, indices))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Normaliser:
    """Bytes to numbers around zero: (x / 255 − mean) / std per channel, on the device."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self.device = device
        self.shift_C11 = torch.tensor(mean, device=device)[:, None, None] * 255
        self.scale_C11 = 1 / (torch.tensor(std, device=device)[:, None, None] * 255)

    def __call__(self, batches: Iterable[tuple[Tensor, T]]) -> Iterator[tuple[Tensor, T]]:
        for x_NCHW, target in batches:
            yield self.normalised(x_NCHW), target

    def normalised(self, x_NCHW: Tensor) -> Tensor:
        """uint8 pixels → float32 on the device, in the memory layout that they have."""
        x_NCHW = x_NCHW.to(self.device, non_blocking=True)
        if not x_NCHW.is_contiguous(memory_format=torch.channels_last):
            return x_NCHW.float().sub_(self.shift_C11).mul_(self.scale_C11)
        # Row by row: three channels side by side are too few for a loop of their own, which took
        # five times as long.
        number, channels, height, width = x_NCHW.shape
        shift, scale = (each.flatten().repeat(width) for each in (self.shift_C11, self.scale_C11))
        rows = x_NCHW.permute(0, 2, 3, 1).flatten(2).float().sub_(shift).mul_(scale)
        return rows.view(number, height, width, channels).permute(0, 3, 1, 2)
