"""Pictures that belong to no class that is trained. Warnings."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

LEFT_OUT = plural(
    "{count} picture has no class and is left out.",
    "{count} pictures have no class and are left out.",
)
UNTRAINED = plural(
    "{count} class has no picture to train on: {classes}.",
    "{count} classes have no pictures to train on: {classes}.",
)


def left_out(seen: Seen) -> Iterator[Finding]:
    """A warning for pictures without a class; an error for classes that nothing trains."""
    files, names = seen.manifest.left_out, seen.manifest.class_names
    if files:
        sentence = Message(LEFT_OUT, count=len(files))
        yield Finding("left_out", Severity.WARNING, files, sentence)
    counts = zip(names, seen.to_learn_from, strict=True)
    classes = (*seen.manifest.untrained, *(name for name, count in counts if not count))
    if classes:
        sentence = Message(UNTRAINED, count=len(classes), classes=list(classes))
        yield Finding("no_train", Severity.ERROR, classes, sentence)


CHECK = left_out
