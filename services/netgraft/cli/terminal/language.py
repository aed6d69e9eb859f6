"""The language of this call, and sentences in it.

Knows nothing of the environment, which the root command reads.
"""

from contextvars import ContextVar

from netgraft.language import render

_language: ContextVar[str] = ContextVar("language", default="en")


def choose_language(language: str) -> None:
    """Choose "en" or "zh" for the rest of this call."""
    _language.set(language)


def chosen_language() -> str:
    """Return the language of this call, "en" or "zh"."""
    return _language.get()


def tr(template: str, /, **values: object) -> str:
    """Return a sentence in the language of this call, filled in with values."""
    return render(template, values, chosen_language())
