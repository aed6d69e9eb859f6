"""A sentence with its values, which can be said in any language that has a catalogue."""

from collections.abc import Mapping
from functools import lru_cache
from gettext import GNUTranslations, NullTranslations
from typing import cast

LANGUAGES = ("en", "zh")
"""The language that sources are written in, and those that have a catalogue."""
CATALOGUES = __file__.removesuffix("message.py") + "catalogues/"
"""Not a Path: `netgraft --help` would pay for the import of pathlib."""

CONTEXT = "\x04"
"""Between a template and its context, as in .mo files."""
FORMS = "\x1f"
"""Between a template's singular and its plural."""

LONGEST_VALUE = 400
"""Characters of a value that an error repeats: it is sent in a header, and those are short."""


def mark(template: str) -> str:
    """The template itself: marks a sentence that is said later, so that it is collected."""
    return template


def plural(one: str, many: str) -> str:
    """Both forms of a template that counts: the value `count` says which of them is meant."""
    return one + FORMS + many


def in_context(context: str, template: str) -> str:
    """A template whose words mean something else elsewhere; only catalogues see the context."""
    return context + CONTEXT + template


BETWEEN = mark(", ")
"""What stands between the members of a list."""


def render(template: str, values: Mapping[str, object], language: str = "en") -> str:
    """A template in a language, filled in with values (`said`).

    A language without a catalogue is English, and so is a sentence that a catalogue lacks.
    """
    translated = translation(template, language, values.get("count"))
    return translated.format(**{name: said(value, language) for name, value in values.items()})


def translation(template: str, language: str, count: object = None) -> str:
    """The template of the same sentence in a language, with the same values.

    `count` chooses between singular and plural, where the template has both.
    """
    if not template:
        return ""
    catalogue = _catalogue(language.partition("-")[0])
    one, counts, many = template.partition(FORMS)
    found = catalogue.ngettext(one, many, cast("int", count)) if counts else catalogue.gettext(one)
    return found.rpartition(CONTEXT)[2]


def said(value: object, language: str = "en") -> object:
    """A value as sentences repeat it: messages in the language, lists joined."""
    if isinstance(value, Message):
        return value.say(language)
    if isinstance(value, list | tuple):
        return render(BETWEEN, {}, language).join(str(said(each, language)) for each in value)
    return value


def shortened(value: object, language: str = "en") -> object:
    """A value as `said`, cut where it is longer than an error may repeat."""
    value = said(value, language)
    if isinstance(value, str) and len(value) > LONGEST_VALUE:
        return value[: LONGEST_VALUE - 1] + "…"
    return value


@lru_cache(maxsize=len(LANGUAGES) + 8)
def _catalogue(language: str) -> NullTranslations:
    if language not in LANGUAGES[1:]:
        return NullTranslations()
    with open(f"{CATALOGUES}{language}/LC_MESSAGES/netgraft.mo", "rb") as stream:  # noqa: PTH123
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
    """Return what a library or the system reports, quoted, as a part of a sentence.

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
    """Return the value that `to_plain` was given. Raises KeyError and TypeError on other input."""
    if isinstance(value, list):
        return [from_plain(each) for each in value]
    if isinstance(value, dict):
        template, values = value["template"], value["values"]
        return Message(template, **{name: from_plain(each) for name, each in values.items()})
    return value
