"""Holding out a share of the pictures, the same ones every time."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

SHARE = 0.2
"""Share that is held out if nothing is said."""


def held_out(
    names: Sequence[str], labels: Sequence[int], share: float = SHARE, groups: Sequence[str] = ()
) -> set[int]:
    """Indices to hold out: a share of each class, and no group in part.

    A class's pictures are ordered by the SHA-256 of their names, so that the choice depends
    neither on the file system nor on a library's generator. Every class of two or more has
    at least one picture on each side, where groups allow.
    """
    by_class = _indices(labels)
    wanted = {label: _count(len(members), share) for label, members in by_class.items()}
    if groups:
        return _by_groups(labels, groups, wanted)
    chosen: set[int] = set()
    for label, members in by_class.items():
        ordered = sorted(members, key=lambda index: _digest(names[index]))
        chosen.update(ordered[: wanted[label]])
    return chosen


def _count(members: int, share: float) -> int:
    return 0 if members < 2 else min(members - 1, max(1, round(members * share)))


def _by_groups(labels: Sequence[int], groups: Sequence[str], wanted: dict[int, int]) -> set[int]:
    """Take each group, in the order of their hashes, that brings the classes nearer to what is
    wanted of them and leaves something of each (the greedy rule of scikit-learn's
    StratifiedGroupKFold, for one fold).
    """
    members = _indices(groups)
    counts = {group: Counter(labels[i] for i in indices) for group, indices in members.items()}
    left = Counter(labels)
    missing = dict(wanted)
    ordered = sorted(members, key=_digest)
    chosen: set[int] = set()
    for group in ordered:
        if _gain(counts[group], missing) > 0 and _spares(counts[group], left):
            chosen.update(members[group])
            left -= counts[group]
            for label, count in counts[group].items():
                missing[label] -= count
    if not chosen:  # every group is too large: the smallest that leaves something
        fitting = [group for group in ordered if _spares(counts[group], left)]
        chosen.update(
            members[min(fitting, key=lambda group: len(members[group]))] if fitting else ()
        )
    return chosen


def _gain(counts: Counter[int], missing: dict[int, int]) -> int:
    """By how many pictures a group brings the classes nearer to what is wanted of them."""
    return sum(abs(missing[label]) - abs(missing[label] - count) for label, count in counts.items())


def _spares(counts: Counter[int], left: Counter[int]) -> bool:
    """True if something of each class is left without a group."""
    return all(left[label] > count for label, count in counts.items())


def _indices(keys: Iterable[Key]) -> dict[Key, list[int]]:
    found: dict[Key, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        found[key].append(index)
    return found


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
