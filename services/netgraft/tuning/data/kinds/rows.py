"""From pictures with the names of their classes to a manifest."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.tuning.data.kinds.parts import made_parts, share_of
from netgraft.tuning.data.manifest import Container, Guess, Manifest, Options, Part


class Row(NamedTuple):
    """One picture, as a kind has read it."""

    name: str
    class_name: str
    part: Part | None = None
    """None where the data do not say."""
    group: str = ""


@dataclass
class Reading:
    """The pictures that a kind has read, and what it noticed."""

    rows: list[Row] = field(default_factory=list)
    guesses: list[Guess] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    empty: set[str] = field(default_factory=set)
    """Classes to train on that have no picture."""
    levels: tuple[tuple[str, ...], ...] = ()
    absent: list[str] = field(default_factory=list)
    passed_over: int = 0


def manifest_of(
    read: Reading, *, reference: str, kind: str, options: Options, container: Container
) -> Manifest:
    """The manifest of what was read, with parts made where there are none.

    Raises InvalidData where there is no picture.
    """
    class_names = _class_names(read)
    index = {name: number for number, name in enumerate(class_names)}
    rows = sorted(row for row in read.rows if row.class_name in index)
    if not rows:
        raise InvalidData(data=reference, problem=Message("it has no pictures."))
    labels = [index[row.class_name] for row in rows]
    groups = [row.group for row in rows] if any(row.group for row in rows) else []
    parts, made = _parts(rows, labels, groups, options)
    left = [row for row in read.rows if row.class_name not in index]
    guesses = list(read.guesses)
    if made:
        guesses.append(_of_split(options, parts.count("held_out"), len(class_names)))
    return Manifest(
        reference=reference,
        kind=kind,
        options=options,
        task="classification",
        class_names=class_names,
        names=tuple(row.name for row in rows),
        labels=tuple(labels),
        parts=parts,
        container=container,
        groups=tuple(groups),
        made_split=made,
        guesses=tuple(guesses),
        passed_over=read.passed_over,
        left_out=tuple(sorted([*read.left_out, *(row.name for row in left)])),
        levels=read.levels,
        untrained=tuple(sorted({row.class_name for row in left})),
        absent=tuple(sorted(read.absent)),
    )


def _class_names(read: Reading) -> tuple[str, ...]:
    """The classes to train on, in order; those of all parts where none is to train on."""
    to_train = {row.class_name for row in read.rows if row.part in ("train", None)}
    return tuple(sorted((to_train or {row.class_name for row in read.rows}) | read.empty))


def _parts(
    rows: Sequence[Row], labels: Sequence[int], groups: Sequence[str], options: Options
) -> tuple[tuple[Part, ...], bool]:
    """The part of each row, and whether what is held out was chosen here."""
    if any(row.part == "held_out" for row in rows):
        return tuple(row.part or "train" for row in rows), False
    train = [index for index, row in enumerate(rows) if row.part in ("train", None)]
    parts: list[Part] = [row.part or "train" for row in rows]
    chosen = made_parts(
        [rows[index].name for index in train],
        [labels[index] for index in train],
        options,
        [groups[index] for index in train] if groups else (),
    )
    for index, part in zip(train, chosen, strict=True):
        parts[index] = part
    return tuple(parts), bool(train)


def _of_split(options: Options, count: int, classes: int) -> Guess:
    sentence = Message(
        "{count} pictures, a share of {share:g} of each class, are held out, for the data have no "
        "part for it",
        count=count,
        share=share_of(options),
    )
    return Guess("val_share", sentence)
