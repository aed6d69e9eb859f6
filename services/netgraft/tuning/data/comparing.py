"""Which pictures of a data set are copies of others: equal files, and pictures that look alike.

Two pictures look alike when their small gray versions, less their mean and scaled to length one,
nearly agree, and much better than either agrees with its other neighbours in the set, and their
colours agree. So a picture that was saved again, resized or brightened is found, while drawings,
X-rays or digits that all resemble each other are not taken for one another.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from netgraft.tuning.data.decode.examine import SMALL
from netgraft.tuning.data.facts import PictureFacts

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_COMPARED = 20_000
"""Pictures that are compared with each other; of more, so many are sampled evenly."""
FARTHEST = 0.02
"""Largest squared distance of two that look alike: a correlation of 0.99."""
NOISE = 2.0
"""Most that the two may differ after that, in levels of 255 (root mean square). What saving again
at quality 20 to 90, halving or doubling changes is 0.5 to 1.9; the nearest two of a thousand
drawings of a disc on noise differ by 2.4, of signs in the same place by 2.3, of digits by 7."""
SHARE_OF_USUAL = 0.25
"""They must also be that much closer than each is to its tenth nearest."""
USUAL = 10
NEIGHBOURS = 16
"""Pictures that each is compared with: the nearest ones by low frequencies."""
MEAN_LEVELS, MOST_LEVELS = 6, 30
"""Most that the coarse colours may differ, on average and any of them, in levels of 255."""
FLAT = 2.0
"""Standard deviation of gray below which a picture shows nothing to compare, in levels of 255."""
LOW = 8
"""Side of the low frequencies that are compared first."""
BLOCK = 1024
"""Pictures that are compared with all others at a time."""


@dataclass(frozen=True)
class Copies:
    """Pictures by their indices."""

    equal: tuple[tuple[int, ...], ...]
    """Groups of equal files, each in the manifest's order."""
    alike: tuple[tuple[int, int], ...]
    """Pairs of files that differ and look alike; of a group of equal files one stands for all."""
    compared: int
    """Number of pictures that were looked at for that: all, but where they are very many."""


def copies_of(facts: Sequence[PictureFacts]) -> Copies:
    """Find the copies among pictures."""
    groups: dict[str, list[int]] = {}
    for index, each in enumerate(facts):
        if each.content and each.fault != "empty":
            groups.setdefault(each.content, []).append(index)
    first = [next((i for i in group if facts[i].looks), None) for group in groups.values()]
    chosen = [index for index in first if index is not None][:MOST_COMPARED]
    equal = tuple(tuple(group) for group in groups.values() if len(group) > 1)
    looked_at = sum(bool(each.looks) or bool(each.fault) for each in facts)
    return Copies(equal, tuple(_alike(facts, chosen)), looked_at)


def is_compared(index: int, pictures: int) -> bool:
    """Return whether a picture is among those that are compared, of so many."""
    return index % (-(-pictures // MOST_COMPARED) or 1) == 0


def _alike(facts: Sequence[PictureFacts], chosen: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of the chosen pictures that look alike."""
    import numpy as np

    if len(chosen) < 2:
        return []
    looks = np.frombuffer(b"".join(facts[i].looks for i in chosen), np.uint8)
    looks = looks.reshape(len(chosen), -1)
    gray, colours = looks[:, : SMALL * SMALL].astype(np.float32), looks[:, SMALL * SMALL :]
    gray -= gray.mean(1, keepdims=True)
    shown = np.flatnonzero(gray.std(1) > FLAT)
    if len(shown) < 2:
        return []
    length = np.linalg.norm(gray[shown], axis=1, keepdims=True)
    found = []
    for one, other in sorted(_close_pairs(gray[shown] / length, length[:, 0] / SMALL)):
        a, b = int(shown[one]), int(shown[other])
        levels = np.abs(colours[a].astype(int) - colours[b])
        if levels.mean() <= MEAN_LEVELS and levels.max() <= MOST_LEVELS:
            found.append((chosen[a], chosen[b]))
    return found


def _close_pairs(unit: "NDArray[Any]", contrast: "NDArray[Any]") -> set[tuple[int, int]]:
    """Pairs that are closer than `FARTHEST` and `NOISE`, and than either is to others of the set.

    `contrast`: the standard deviation of each picture, in levels.
    """
    import numpy as np

    pairs: set[tuple[int, int]] = set()
    near, distances = _neighbours(unit)
    usual = np.sort(distances, 1)[:, min(USUAL, near.shape[1]) - 1]
    limit = np.minimum(np.minimum(FARTHEST, (NOISE / contrast) ** 2), SHARE_OF_USUAL * usual)
    for one, at in zip(*np.nonzero(distances <= limit[:, None]), strict=True):
        other = near[one, at]
        if distances[one, at] <= limit[other]:
            pairs.add((int(min(one, other)), int(max(one, other))))
    return pairs


def _neighbours(unit: "NDArray[Any]") -> "tuple[NDArray[Any], NDArray[Any]]":
    """The nearest pictures of each by low frequencies, and their whole squared distances."""
    import numpy as np

    low = _low_frequencies(unit)
    squares = (low * low).sum(1)
    count = min(NEIGHBOURS, len(unit) - 1)
    near = np.empty((len(unit), count), np.int64)
    distances = np.empty((len(unit), count), np.float32)
    for start in range(0, len(unit), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(unit)))
        apart = squares[rows, None] + squares[None, :] - 2 * low[rows] @ low.T
        apart[rows - start, rows] = np.inf
        near[rows] = np.argpartition(apart, count - 1, axis=1)[:, :count]
        for at in range(count):
            difference = unit[rows] - unit[near[rows, at]]
            distances[rows, at] = np.einsum("nd,nd->n", difference, difference)
    return near, distances


def _low_frequencies(unit: "NDArray[Any]") -> "NDArray[Any]":
    """The first `LOW` × `LOW` components of an orthonormal cosine transform."""
    import numpy as np

    at = np.arange(SMALL) + 0.5
    waves = np.cos(np.pi / SMALL * np.arange(LOW)[:, None] * at) * np.sqrt(2 / SMALL)
    waves[0] /= np.sqrt(2)
    waves = waves.astype(np.float32)
    x_NHW = unit.reshape(-1, SMALL, SMALL)
    return np.ascontiguousarray((waves @ x_NHW @ waves.T).reshape(len(unit), -1))
