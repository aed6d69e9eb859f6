"""Folds for cross-validation: each class spread evenly, and what belongs together in one fold."""

from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

FOLDS = 4
ROUNDS = 4
"""One round of few pictures chooses by chance: on 245 photographs four rounds with other folds
agree where single ones differ by two points."""


def stratified(
    labels: Sequence[int], groups: Sequence[Hashable] = (), *, folds: int = FOLDS,
    rounds: int = ROUNDS, seed: int = 0,
) -> Tensor:  # fmt: skip
    """folds_NS: the fold of each picture in each round.

    Each group, largest first, goes to the fold that has the fewest pictures of its classes so far.
    `groups` is () where every picture stands for itself. A class of one group only is absent from
    the training part of its fold: no fold can help that.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for index in range(len(labels)):
        members[groups[index] if groups else index].append(index)
    columns = [
        _round(labels, list(members.values()), folds, torch.Generator().manual_seed(seed + at))
        for at in range(rounds)
    ]
    return torch.tensor(columns).T


def _round(
    labels: Sequence[int], members: list[list[int]], folds: int, generator: torch.Generator
) -> list[int]:
    shuffled = [members[i] for i in torch.randperm(len(members), generator=generator).tolist()]
    fold_of = [0] * len(labels)
    counts: list[Counter[int]] = [Counter() for _ in range(folds)]
    sizes = [0] * folds
    for group in sorted(shuffled, key=len, reverse=True):
        mine = Counter(labels[index] for index in group)
        least = min(
            range(folds),
            key=lambda fold: (sum(counts[fold][k] * n for k, n in mine.items()), sizes[fold], fold),
        )
        counts[least].update(mine)
        sizes[least] += len(group)
        for index in group:
            fold_of[index] = least
    return fold_of
