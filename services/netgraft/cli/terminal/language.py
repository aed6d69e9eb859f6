"""English and Chinese, side by side at the line that is printed.

Knows nothing of the environment: the root command reads it.
"""

from contextvars import ContextVar

_language: ContextVar[str] = ContextVar("language", default="en")


def speak(language: str) -> None:
    """Choose "en" or "zh" for the rest of this call."""
    _language.set(language)


def spoken() -> str:
    """The language of this call, "en" or "zh"."""
    return _language.get()


def tr(en: str, zh: str) -> str:
    """The one of two sentences that the user reads."""
    return zh if spoken() == "zh" else en
