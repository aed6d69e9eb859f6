"""Notices: what a user should know of a model, stored with it before anybody reads it.

Which language its readers have is not known by then, so one line holds every language.
"""

from netgraft.language import LANGUAGES, Message

BETWEEN = "\t"
"""Stands between the languages of a notice."""


def stored(sentence: Message) -> str:
    """A notice as the store keeps it: one line, the sentence in each of LANGUAGES."""
    spoken = (sentence.say(language) for language in LANGUAGES)
    return BETWEEN.join(" ".join(text.split()) for text in spoken)


def said(notice: str, language: str) -> str:
    """A stored notice in one language; in English where it lacks that."""
    texts = dict(zip(LANGUAGES, notice.split(BETWEEN), strict=False))
    return texts.get(language) or texts[LANGUAGES[0]]
