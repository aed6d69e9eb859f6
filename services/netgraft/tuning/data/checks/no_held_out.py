"""Classes that no held-out picture measures: warnings; an error where none measures any."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.few_pictures import few
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

SENTENCE = plural(
    "{count} class has no held-out picture: {classes}. What is reached says nothing about it.",
    "{count} classes have no held-out pictures: {classes}. What is reached says nothing about "
    "them.",
)


def no_held_out(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that names the classes. Of parts made here only a class of few lacks one, and
    that is said of it already."""
    if len(seen.manifest.class_names) < 2:
        return
    some = seen.manifest.size("held_out") > 0
    known = few(seen) if seen.manifest.made_split and some else {}
    pairs = zip(seen.manifest.class_names, seen.counts("held_out"), strict=True)
    found = [name for name, count in pairs if not count and name not in known]
    if found:
        sentence = Message(SENTENCE, count=len(found), classes=found)
        severity = Severity.WARNING if some else Severity.ERROR
        yield Finding("no_held_out", severity, tuple(found), sentence)


CHECK = no_held_out
