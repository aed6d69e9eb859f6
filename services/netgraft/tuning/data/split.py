"""Holding out a fifth of the examples, the same ones every time."""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

SHARE = 5
"""One example in this many is held out."""


def hold_out(names: Sequence[str], labels: Sequence[int]) -> tuple[list[int], list[int]]:
    """Indices to train on and indices held out, a fifth of each class.

    A class's examples are ordered by the SHA-256 of their names, so that the choice depends
    neither on the file system nor on a library's generator. Every class of two or more has
    at least one example on each side.
    """
    by_class: dict[int, list[int]] = defaultdict(list)
    for index, label in enumerate(labels):
        by_class[label].append(index)
    train: list[int] = []
    held_out: list[int] = []
    for indices in by_class.values():
        ordered = sorted(indices, key=lambda i: hashlib.sha256(names[i].encode()).digest())
        count = 0 if len(ordered) < 2 else max(1, round(len(ordered) / SHARE))
        held_out += ordered[:count]
        train += ordered[count:]
    return sorted(train), sorted(held_out)
