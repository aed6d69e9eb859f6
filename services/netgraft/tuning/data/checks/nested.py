"""Folders of folders: which level has the classes? A warning that says which was taken."""

from collections.abc import Iterator

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity


def nested(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that names the upper folders, the level taken, and what the other holds."""
    levels = seen.manifest.levels
    if len(levels) < 2:
        return
    taken = set(seen.manifest.class_names)
    other = next((level for level in levels if set(level) != taken), levels[0])
    sentence = Message(
        "There are folders of pictures inside of folders. The {taken} names {names} were taken for "
        "the classes; the other level has {number} names ({others}).",
        taken=len(taken),
        names=list(seen.manifest.class_names)[:5],
        number=len(other),
        others=list(other)[:5],
    )
    yield Finding("nested", Severity.WARNING, levels[0], sentence)


CHECK = nested
