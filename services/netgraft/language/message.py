"""A sentence with its values, which can be said in any language that has a catalogue."""

from collections.abc import Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LANGUAGES = ("en", "zh")
"""The language that sources are written in, and those that have a catalogue."""
CATALOGUES = Path(__file__).with_name("catalogues")


def mark(template: str) -> str:
    """The template itself: marks a sentence that is said later, so that it is collected."""
    return template


def render(template: str, values: Mapping[str, object], language: str = "en") -> str:
    """A template in a language, filled in with values; those that are messages in it too.

    A language without a catalogue is English, and so is a sentence that a catalogue lacks.
    """
    translated = _catalogue(language.partition("-")[0]).gettext(template) if template else ""
    return translated.format(**{name: _said(value, language) for name, value in values.items()})


def _said(value: object, language: str) -> object:
    return value.say(language) if isinstance(value, Message) else value


@lru_cache(maxsize=len(LANGUAGES) + 8)
def _catalogue(language: str) -> NullTranslations:
    file = CATALOGUES / language / "LC_MESSAGES" / "netgraft.mo"
    if language not in LANGUAGES or not file.is_file():
        return NullTranslations()
    with file.open("rb") as stream:
        return GNUTranslations(stream)


class Message(str):
    """A sentence, or a part of one. As a text it is English; `say` gives it in any language.

    `Message("step {number} names no action", number=3)`: the template is what catalogues know it
    by, the values are what a program can read from it.
    """

    __slots__ = ("template", "values")
    template: str
    values: dict[str, object]

    def __new__(cls, template: str, /, **values: object) -> "Message":
        made = super().__new__(cls, render(template, values))
        made.template, made.values = template, values
        return made

    def say(self, language: str) -> str:
        """The sentence in a language, such as "zh" or "zh-CN"."""
        return render(self.template, self.values, language)

    def __reduce__(self) -> tuple[object, ...]:
        return _remake, (self.template, self.values)


def _remake(template: str, values: dict[str, object]) -> Message:
    return Message(template, **values)
