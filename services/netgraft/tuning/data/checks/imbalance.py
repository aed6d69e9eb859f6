"""Classes of very different sizes: always naming the largest is right nearly always."""

from collections.abc import Iterator

from netgraft.language import Message
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

WARNED = 20
"""The largest class has more than so many times the pictures of another."""
NOTED = 5


def imbalance(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that names the small classes, with the ratio; a note where it is smaller."""
    counts, names = seen.to_learn_from, seen.manifest.class_names
    if len(names) < 2 or not any(counts):
        return
    most = max(counts)
    least = min(count for count in counts if count)
    if most <= NOTED * least:
        return
    severity = Severity.WARNING if most > WARNED * least else Severity.NOTE
    factor = WARNED if severity is Severity.WARNING else NOTED
    small = tuple(
        name for name, count in zip(names, counts, strict=True) if 0 < count * factor < most
    )
    sentence = Message(
        "The classes are uneven: {large} has {ratio:,.0f} times the pictures of {small}. Always "
        "answering {large} would be right for {share:.0%}: look at the balanced accuracy, and have "
        "the classes weighed.",
        large=names[counts.index(most)],
        small=names[counts.index(least)],
        ratio=most / least,
        share=most / sum(counts),
    )
    yield Finding("imbalance", severity, small, sentence)


CHECK = imbalance
