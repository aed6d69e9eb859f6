"""Pictures that belong to no class that is trained. Warnings."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

LEFT_OUT = plural(
    "{count} picture has no class and is left out.",
    "{count} pictures have no class and are left out.",
)
UNTRAINED = plural(
    "{count} class has pictures to measure by and none to train on: {classes}.",
    "{count} classes have pictures to measure by and none to train on: {classes}.",
)


def left_out(seen: Seen) -> Iterator[Finding]:
    """A warning for pictures without a class; an error for classes that nothing trains."""
    files, classes = seen.manifest.left_out, seen.manifest.untrained
    if files:
        sentence = Message(LEFT_OUT, count=len(files))
        yield Finding("left_out", Severity.WARNING, files, sentence)
    if classes:
        sentence = Message(UNTRAINED, count=len(classes), classes=list(classes))
        yield Finding("no_train", Severity.ERROR, classes, sentence)


CHECK = left_out
