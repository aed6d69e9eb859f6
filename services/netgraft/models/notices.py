"""Notices: what a user should know of a model, stored with it before anybody reads it.

Which language its readers have is not known by then: a line holds the sentence's template and its
values as JSON. Stores of 0.1 and 0.2 have lines with the English, a tab and the Chinese.
"""

import json

from netgraft.language import Message, from_plain, to_plain

BETWEEN = "\t"
"""Stands between the English and the Chinese of a line of before."""


def stored(notice: Message) -> str:
    """A notice as the store keeps it: one line."""
    return json.dumps(to_plain(notice))


def said(line: str, language: str) -> str:
    """A stored notice in a language, on one line; in English where it lacks the language."""
    try:
        notice = from_plain(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        notice = None
    if isinstance(notice, Message):
        return " ".join(notice.say(language).split())
    english, _, chinese = line.partition(BETWEEN)
    return chinese if chinese and language.startswith("zh") else english
