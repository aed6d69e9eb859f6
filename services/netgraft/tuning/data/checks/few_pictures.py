"""Classes with too few pictures to learn from, and to measure by. Warnings."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

LEAST = 5
"""Pictures of a class: one for each fold of a cross-validation."""
SENTENCE = plural(
    "{count} class has fewer than {least} pictures to learn from: {classes}. A single picture is "
    "trained on and cannot be measured by; add some.",
    "{count} classes have fewer than {least} pictures to learn from: {classes}. A single picture "
    "is trained on and cannot be measured by; add some.",
)


def few(seen: Seen) -> dict[str, int]:
    """Return the number of pictures of each class that has some, and too few to learn from."""
    counts = zip(seen.manifest.class_names, seen.to_learn_from, strict=True)
    return {name: count for name, count in counts if 0 < count < LEAST}


def few_pictures(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that names the classes and how many pictures each has."""
    found = few(seen)
    if found and len(seen.manifest.class_names) > 1:
        classes = [
            Message("{name} ({number:,})", name=name, number=number)
            for name, number in found.items()
        ]
        sentence = Message(SENTENCE, count=len(found), least=LEAST, classes=classes)
        yield Finding("few_pictures", Severity.WARNING, tuple(found), sentence)


CHECK = few_pictures
