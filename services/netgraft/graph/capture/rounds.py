"""Loops in a model's own code, found by what they ran: each round becomes a frame.

A forward that refines its result in a loop (optical flow does) runs the same operators
and modules again and again in one module. torch.export unrolls the loop, and the picture
would be a ladder of hundreds of boxes; where one is too long, its repeats are framed
like calls of a module, as "round 3 of 12".
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from netgraft.graph.capture.recording import Frame, Step

LONG = 100
"""Fewest boxes at one level for which rounds are sought: fewer fit a screen or two."""
LONGEST = 4000
"""Most boxes that are searched: the cost is quadratic and would exceed that of drawing."""
FEWEST_ROUNDS = 3
SHORTEST_ROUND = 4
KIND = "Round"
"""Used in place of a class name."""

_Child = tuple[object, ...]
"""What one box at a level ran; equal if module, operators and shapes are the same."""


@dataclass(frozen=True)
class _Repeat:
    """`count` rounds of `period` boxes each, from box `first` on."""

    first: int
    period: int
    count: int

    @property
    def boxes(self) -> int:
        return self.period * self.count


def with_rounds(steps: Sequence[Step], depth: int = 1) -> list[Step]:
    """The steps, with a frame at `depth` around those of each round of a loop."""
    framed: list[Step] = []
    calls = [list(run) for _, run in groupby(enumerate(steps), lambda it: _key(it, depth))]
    children = [[step for _, step in call] for call in calls]
    found = _repeat([_signature(child, depth) for child in children])
    for index, child in enumerate(children):
        deeper = child if len(child) < LONG else with_rounds(child, depth + 1)
        if found and 0 <= index - found.first < found.boxes:
            number = (index - found.first) // found.period + 1
            deeper = [_framed(step, depth, number, found.count) for step in deeper]
        framed.extend(deeper)
    return framed


def _key(numbered: tuple[int, Step], depth: int) -> object:
    """The same for steps that are drawn as one box at this level."""
    index, step = numbered
    return step.frames[depth] if len(step.frames) > depth else index


def _signature(child: Sequence[Step], depth: int) -> _Child:
    frames = child[0].frames
    path = frames[depth].path if len(frames) > depth else ""
    ran = tuple((step.target, *(value.shape for value in step.outputs)) for step in child)
    return (path, ran)


def _repeat(children: Sequence[_Child]) -> _Repeat | None:
    """The repeat that covers the most boxes; among equals, the one with the shortest rounds."""
    if not LONG <= len(children) <= LONGEST:
        return None
    numbers: dict[_Child, int] = {}
    row = [numbers.setdefault(child, len(numbers)) for child in children]
    best = _Repeat(0, 0, 0)
    for period in range(SHORTEST_ROUND, len(row) // FEWEST_ROUNDS + 1):
        equal = [row[index] == row[index + period] for index in range(len(row) - period)]
        place = 0
        for same, run in groupby(equal):
            length = sum(1 for _ in run)
            repeat = _Repeat(place, period, length // period + 1)
            if same and repeat.count >= FEWEST_ROUNDS and repeat.boxes > best.boxes:
                best = repeat
            place += length
    return best if best.count else None


def _framed(step: Step, depth: int, number: int, count: int) -> Step:
    owner = step.frames[depth - 1] if len(step.frames) >= depth else Frame("", "", "")
    path = f"{owner.path}.round {number} of {count}".lstrip(".")
    frame = Frame(path, KIND, f"{owner.key}/round {number}")
    return replace(step, frames=(*step.frames[:depth], frame, *step.frames[depth:]))
