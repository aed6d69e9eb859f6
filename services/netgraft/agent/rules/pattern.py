"""Local patterns over tags: a regular expression whose letters are tokens.

A pattern such as "lr is|to|of? num" matches a token tagged `lr`, perhaps one tagged
`is`, `to` or `of`, and one tagged `num`. Rules rewrite from left to right, one rule
after another; what a rule made, later rules can match.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from netgraft.agent.rules.tokens import Token

Make = Callable[[list[Token]], list[Token] | None]


@dataclass(frozen=True)
class Rule:
    """Replaces tokens that match `pattern` by those that `make` returns (None: leave them)."""

    pattern: str
    make: Make


@lru_cache(maxsize=512)
def compiled(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern over `encode`d tokens."""
    parts = []
    for element in pattern.split():
        many = element[-1] if element[-1] in "?*+" else ""
        tags = element.rstrip("?*+")
        parts.append(rf"(?:[^ ]*\|(?:{tags})\|[^ ]* ){many}")
    return re.compile(r"(?:(?<= )|^)" + "".join(parts))


def encode(tokens: Iterable[Token]) -> str:
    """Tokens as a string: tags between bars, tokens separated by blanks."""
    return "".join(f"|{'|'.join(tag for tag, _ in token.readings)}| " for token in tokens)


def rewrite(tokens: list[Token], rules: Iterable[Rule]) -> list[Token]:
    """Apply each rule wherever it matches, in order."""
    coded = encode(tokens)
    for rule in rules:
        expression = compiled(rule.pattern)
        position = 0
        while found := expression.search(coded, position):
            if found.end() == found.start():
                break
            first = coded.count(" ", 0, found.start())
            last = first + found[0].count(" ")
            made = rule.make(tokens[first:last])
            if made is None:
                position = coded.index(" ", found.start()) + 1
                continue
            tokens = [*tokens[:first], *made, *tokens[last:]]
            replaced = encode(made)
            coded = coded[: found.start()] + replaced + coded[found.end() :]
            position = found.start() + len(replaced)
    return tokens
