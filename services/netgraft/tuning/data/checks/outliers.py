"""Pictures that stand out as blurred or dark among those of their set. Notes."""

from collections.abc import Iterator, Sequence

from netgraft.language import Message, plural
from netgraft.tuning.data.checks.finding import Finding, Seen, Severity

LEAST_PICTURES = 20
"""A set of fewer has no usual picture to stand out from."""
DEVIATIONS = 6.0
"""Robust standard deviations (1.4826 × the median deviation) below the median."""
MOST = 0.05
"""Share of a set that can stand out; of more, that is how its pictures are."""
BLURRED = plural(
    "{count} picture is far less sharp than the others.",
    "{count} pictures are far less sharp than the others.",
)
DARK = plural(
    "{count} picture is far darker than the others.",
    "{count} pictures are far darker than the others.",
)


def outliers(seen: Seen) -> Iterator[Finding]:
    """Notes, because such a picture may be as it should be."""
    sound = [index for index, facts in enumerate(seen.facts) if not facts.fault]
    measures = (
        ("blurred", BLURRED, [seen.facts[i].sharpness for i in sound]),
        ("dark", DARK, [seen.facts[i].brightness for i in sound]),
    )
    for kind, template, values in measures:
        found = [sound[at] for at in _far_below(values)]
        if found:
            sentence = Message(template, count=len(found))
            yield Finding(kind, Severity.NOTE, seen.files(found), sentence)


def _far_below(values: Sequence[float]) -> list[int]:
    import numpy as np

    if len(values) < LEAST_PICTURES:
        return []
    logs = np.log(np.asarray(values) + 1e-3)
    middle = np.median(logs)
    spread = max(0.05, 1.4826 * float(np.median(np.abs(logs - middle))))
    found = np.flatnonzero(logs < middle - DEVIATIONS * spread)
    return found.tolist() if len(found) <= MOST * len(values) else []


CHECK = outliers
