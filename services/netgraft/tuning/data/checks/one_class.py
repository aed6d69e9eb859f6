"""A set of a single class: every model is right at once, and has learnt nothing. An error."""

from collections.abc import Iterator

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity


def one_class(seen: Seen) -> Iterator[Finding]:
    """An error that says how a second class is added."""
    names = seen.manifest.class_names
    if len(names) != 1:
        return
    sentence = Message(
        "There is one class only ({name}), and there must be two or more to tell apart. Put the "
        "pictures of another class into a folder of their own beside it.",
        name=names[0],
    )
    yield Finding("one_class", Severity.ERROR, names, sentence)


CHECK = one_class
