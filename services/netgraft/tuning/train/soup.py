"""A greedy soup: the mean of weights that were each the best at their time, where it is better.

Model soups, arXiv:2203.05482, recipe 1. Knows no data set: the caller measures.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Soup(Generic[T]):
    """Weights, how they were measured, and of how many they are the mean."""

    tensors: Tensors
    figures: T
    ingredients: int


def greedy(
    candidates: Sequence[Tensors],
    figures: T,
    measure: Callable[[Tensors], tuple[Tensors, T]],
    is_as_good: Callable[[T, T], bool],
) -> Soup[T]:
    """Add each candidate, the best first, to the mean of those before it, if that is as good.

    `figures` are those of the first candidate; `measure` settles the norms of weights and returns
    them with their figures; `is_as_good` compares new figures with those so far.
    """
    chosen, soup = [candidates[0]], Soup(candidates[0], figures, 1)
    for candidate in candidates[1:]:
        tensors, found = measure(mean([*chosen, candidate]))
        if is_as_good(found, soup.figures):
            chosen.append(candidate)
            soup = Soup(tensors, found, len(chosen))
    return soup


def mean(several: Sequence[Tensors]) -> Tensors:
    """The mean of weights and of buffers of floating-point numbers; others are the first's."""
    return {
        name: torch.stack([each[name].double() for each in several]).mean(0).to(first.dtype)
        if first.is_floating_point()
        else first
        for name, first in several[0].items()
    }
