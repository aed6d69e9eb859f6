"""Pictures with transparent pixels. What lies under them is stored, and was never meant."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

SENTENCE = plural(
    "{count} picture has transparent pixels. They are laid on white, in training and in "
    "prediction; give it another ground yourself if white is wrong.",
    "{count} pictures have transparent pixels. They are laid on white, in training and in "
    "prediction; give them another ground yourself if white is wrong.",
)


def alpha(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that says which ground is used."""
    found = [index for index, facts in enumerate(seen.facts) if facts.alpha]
    if found:
        sentence = Message(SENTENCE, count=len(found))
        yield Finding("alpha", Severity.WARNING, seen.files(found), sentence)


CHECK = alpha
