"""Pictures with more than 8 bits a channel, which clip to white where nobody looks."""

from collections.abc import Iterator

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

SENTENCE = plural(
    "{count} picture has more than 8 bits a channel (values from {low:,} to {high:,}). It is "
    "spread over 0 to 255 by its own range, in training and in prediction.",
    "{count} pictures have more than 8 bits a channel (values from {low:,} to {high:,}). Each is "
    "spread over 0 to 255 by its own range, in training and in prediction: how bright one is "
    "compared with another is lost.",
)


def deep_pixels(seen: Seen) -> Iterator[Finding]:
    """Yield a warning that says the range; where all pictures are so, the first stands for them."""
    found = [index for index, facts in enumerate(seen.facts) if facts.deep]
    if not found:
        return
    spans = [facts.deep for facts in seen.facts if facts.deep]
    sentence = Message(
        SENTENCE,
        count=len(found),
        low=min(low for low, _ in spans),
        high=max(high for _, high in spans),
    )
    sound = sum(not facts.fault for facts in seen.facts)
    named = found[:1] if len(found) == sound else found
    yield Finding("deep_pixels", Severity.WARNING, seen.files(named), sentence)


CHECK = deep_pixels
