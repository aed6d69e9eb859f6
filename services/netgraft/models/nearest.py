"""Find the known names that are most like one that nothing has, for the sentence that says so."""

from collections.abc import Callable, Iterable

from rapidfuzz import fuzz, process

LIMIT = 3
LONGEST = 200
"""Characters of a name that are compared: a text of megabytes would keep the process busy for
minutes."""


def nearest(
    name: str,
    known: Iterable[str],
    *,
    scorer: Callable[..., float] = fuzz.WRatio,
    least: float = 0,
) -> list[str]:
    """Up to LIMIT of `known`, the most similar first; `least` is their least score, 0 to 100."""
    found = process.extract(
        name[:LONGEST], list(known), scorer=scorer, limit=LIMIT, score_cutoff=least
    )
    return [match for match, *_ in found]
