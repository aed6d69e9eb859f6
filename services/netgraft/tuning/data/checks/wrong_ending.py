"""Files whose ending says another format than their content. They are read all the same."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity
from netgraft.tuning.data.decode.decoder import ending
from netgraft.tuning.data.decode.formats import fits

SENTENCE = plural(
    "{count} picture has an ending that does not say what it is ({first} is {form}). It is used: "
    "the content decides. Other programs may pass it over.",
    "{count} pictures have endings that do not say what they are ({first} is {form}). They are "
    "used: the content decides. Other programs may pass them over.",
)


def wrong_ending(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that names the files whose names lie."""
    named = zip(seen.manifest.names, seen.facts, strict=bool(seen.facts))
    lying = [
        (name, facts.format)
        for name, facts in named
        if facts.format and not fits(ending(name), facts.format)
    ]
    if lying:
        first, form = lying[0]
        sentence = Message(SENTENCE, count=len(lying), first=first, form=form)
        yield Finding("wrong_ending", Severity.WARNING, tuple(name for name, _ in lying), sentence)


CHECK = wrong_ending
