"""Copies of pictures: within a part, and, worse, of what is trained on among what measures."""

from collections.abc import Iterable, Iterator

from netgraft.language import Message, mark, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity
from netgraft.tuning.data.manifest import PARTS, Part

WITHIN = plural(
    "{count} file is an exact copy of another of the same part, which weighs that picture twice. "
    "`netgraft data check {data} --fix` leaves it out.",
    "{count} files are exact copies of others of the same part, which weighs those pictures twice. "
    "`netgraft data check {data} --fix` leaves them out.",
)
ALIKE = plural(
    "{count} picture of a part looks like another one of it.",
    "{count} pictures of a part look like others of it.",
)
CLASHING = plural(
    "{count} file has a copy in another class: one of the two is labelled wrong.",
    "{count} files have copies in other classes: of each two, one is labelled wrong.",
)
ACROSS = plural(
    "{count} picture that measures is also trained on: {shares}. What is reached is too good. "
    "`netgraft data check {data} --fix` leaves it out.",
    "{count} pictures that measure are also trained on: {shares}. What is reached is too good. "
    "`netgraft data check {data} --fix` leaves them out.",
)


def duplicates(seen: Seen) -> Iterator[Finding]:
    """Warnings for exact copies within a part and for copies across parts; a note for pictures
    of one part that look alike, such as frames of a film."""
    if seen.facts:
        yield from _within(seen)
        yield from _clashing(seen)
        yield from _alike(seen)
        yield from _across(seen)


def leaked(seen: Seen) -> list[int]:
    """The pictures that measure, held out or test, of which a copy is trained on."""
    return sorted(set().union(*(_leaked(seen, part) for part in PARTS if part != "train")))


def _side(seen: Seen, index: int) -> Part:
    """The part of a picture. Where the parts were made here, the set has a single one."""
    part = seen.manifest.parts[index]
    return "train" if seen.manifest.made_split else part


def _within(seen: Seen) -> Iterator[Finding]:
    found: set[int] = set()
    for group in seen.copies.equal:
        for part in PARTS:
            found |= set([i for i in group if _side(seen, i) == part][1:])
    if found:
        data = seen.manifest.reference
        sentence = Message(WITHIN, count=len(found), data=data)
        files = seen.files(sorted(found))
        yield Finding("duplicate", Severity.WARNING, files, sentence, files)


def _clashing(seen: Seen) -> Iterator[Finding]:
    labels = seen.manifest.labels
    found = [
        index
        for group in seen.copies.equal
        if len({labels[i] for i in group}) > 1
        for index in group
    ]
    if found:
        sentence = Message(CLASHING, count=len(found))
        yield Finding("clashing_labels", Severity.WARNING, seen.files(sorted(found)), sentence)


def _alike(seen: Seen) -> Iterator[Finding]:
    pairs = seen.copies.alike
    found = sorted({max(pair) for pair in pairs if len({_side(seen, i) for i in pair}) == 1})
    if found:
        yield Finding("alike", Severity.NOTE, seen.files(found), Message(ALIKE, count=len(found)))


def _across(seen: Seen) -> Iterator[Finding]:
    if seen.manifest.made_split:
        return  # the set has one part for its user, and copies in it are said of it
    found: set[int] = set()
    shares = []
    for part in PARTS[1:]:
        those = _leaked(seen, part)
        found |= those
        if those:
            shares.append(_share(part, len(those), seen.manifest.size(part)))
    if found:
        data = seen.manifest.reference
        sentence = Message(ACROSS, count=len(found), shares=shares, data=data)
        files = seen.files(sorted(found))
        yield Finding("duplicate_across", Severity.WARNING, files, sentence, files)


def _share(part: Part, found: int, size: int) -> Message:
    template = (
        mark("{found:,} of the {size:,} held-out pictures ({share:.0%})")
        if part == "held_out"
        else mark("{found:,} of the {size:,} test pictures ({share:.0%})")
    )
    return Message(template, found=found, size=size, share=found / size)


def _leaked(seen: Seen, part: Part) -> set[int]:
    """The pictures of a part that are trained on, as an exact copy or as one that looks alike."""
    parts = seen.manifest.parts
    group = {i: each for each in seen.copies.equal for i in each}

    def members(index: int) -> Iterable[int]:
        return group.get(index, (index,))

    found = {
        i
        for each in seen.copies.equal
        if any(parts[i] == "train" for i in each)
        for i in each
        if parts[i] == part
    }
    for pair in seen.copies.alike:
        for one, other in (pair, pair[::-1]):
            if any(parts[i] == "train" for i in members(one)):
                found |= {i for i in members(other) if parts[i] == part}
    return found


CHECK = duplicates
