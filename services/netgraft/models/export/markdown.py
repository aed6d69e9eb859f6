"""Write text as Markdown: what others wrote stays text, whatever it holds."""

import re

MEANT = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&$@:])")
"""Characters that Markdown, or a dialect of it, may take for more than themselves.

CommonMark lets a backslash stand before any ASCII punctuation.
"""
UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Control and direction characters: they end lines, or reverse them."""


def escaped(text: str) -> str:
    """A text on one line that reads as it was written."""
    return MEANT.sub(r"\\\1", _one_line(text))


def code(text: str) -> str:
    """A text as code within a line."""
    fence = "`" * (_longest(text) + 1)
    space = " " if "`" in text else ""
    return f"{fence}{space}{_one_line(text)}{space}{fence}"


def fenced(text: str, language: str) -> str:
    """Lines as a block of code that nothing in them can end."""
    fence = "`" * max(3, _longest(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _one_line(text: str) -> str:
    return " ".join(UNSHOWN.sub(" ", text).split())


def _longest(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
