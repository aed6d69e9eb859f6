"""Classes that are called by numbers. The names count, not the indices: notes that say so."""

from collections.abc import Iterator

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity


def ids(seen: Seen) -> Iterator[Finding]:
    """A note where the numbers start at one or have gaps, or stand in another order."""
    names = seen.manifest.class_names
    if len(names) < 2 or not all(name.isascii() and name.isdigit() for name in names):
        return
    numbers = [int(name) for name in names]
    if numbers == list(range(len(numbers))):
        return
    sentence = Message(
        "The classes are called by numbers from {least} to {most}, which are names and not "
        "indices: class {name} is output {index} of the model. Predictions answer by name.",
        least=min(numbers),
        most=max(numbers),
        name=names[-1],
        index=len(names) - 1,
    )
    yield Finding("ids", Severity.NOTE, (), sentence)


CHECK = ids
