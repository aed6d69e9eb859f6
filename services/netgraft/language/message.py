"""A sentence with its values, which can be said in any language that has a catalogue."""

from collections.abc import Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

LANGUAGES = ("en", "zh")
"""The language that sources are written in, and those that have a catalogue."""
CATALOGUES = Path(__file__).with_name("catalogues")

LONGEST_VALUE = 400
"""Characters of a value that a sentence repeats: it is sent in a header, and those are short."""


def mark(template: str) -> str:
    """The template itself: marks a sentence that is said later, so that it is collected."""
    return template


BETWEEN = mark(", ")
"""What stands between the members of a list."""


def render(template: str, values: Mapping[str, object], language: str = "en") -> str:
    """A template in a language, filled in with values (`said`).

    A language without a catalogue is English, and so is a sentence that a catalogue lacks.
    """
    translated = translation(template, language)
    return translated.format(**{name: said(value, language) for name, value in values.items()})


def translation(template: str, language: str) -> str:
    """The template of the same sentence in a language, with the same values."""
    return _catalogue(language.partition("-")[0]).gettext(template) if template else ""


def said(value: object, language: str = "en") -> object:
    """A value as sentences repeat it: messages in the language, lists joined, texts cut short."""
    if isinstance(value, Message):
        value = value.say(language)
    elif isinstance(value, list | tuple):
        value = render(BETWEEN, {}, language).join(str(said(each, language)) for each in value)
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[: LONGEST_VALUE - 1] + "…"
    return value


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
    by, the values are what a program can read from it. A value may be a list, and it may itself
    be a message.
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


def say(text: str, language: str) -> str:
    """A text in a language, where it is a message; else as it is."""
    return text.say(language) if isinstance(text, Message) else text


def quoted(report: object) -> Message:
    """What a library or the system reports in its own words, as the problem of a sentence.

    In English the words stand as they are; other languages say that they are quoted.
    """
    return Message("{report}", report=str(report))


def message_to_plain(message: Message) -> dict[str, object]:
    """A message as JSON can hold it."""
    values = {name: to_plain(each) for name, each in message.values.items()}
    return {"template": message.template, "values": values}


def to_plain(value: object) -> object:
    """A value as JSON can hold it: messages as template and values, what JSON lacks as text."""
    if isinstance(value, Message):
        return message_to_plain(value)
    if isinstance(value, list | tuple):
        return [to_plain(each) for each in value]
    return value if isinstance(value, bool | int | float | None) else str(value)


def from_plain(value: object) -> object:
    """What `to_plain` was given. Raises KeyError, TypeError on what it did not make."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if isinstance(value, dict):
        template, values = value["template"], value["values"]
        return Message(template, **{name: from_plain(each) for name, each in values.items()})
    return value
