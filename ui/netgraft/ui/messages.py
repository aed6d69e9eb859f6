"""The fixed labels of the page, and the language of the person who reads it.

Sentences are translated where the code makes them. Fixed labels are translated in the browser,
by `gr.I18n` and by the page's scripts, which refer to them by name.
"""

from collections.abc import Mapping
from typing import Protocol

from netgraft.language import LANGUAGES, Translator, mark

LABELS = {
    "new_conversation": mark("New conversation"),
    "conversation": mark("Conversation"),
    "run": mark("Run"),
    "cancel": mark("Cancel"),
    "message": mark("Message"),
    "message_hint": mark("Say what you want"),
    "attach": mark("File"),
    "send": mark("Send"),
    "picture": mark("Picture"),
    "training": mark("Training"),
    "model": mark("Model"),
    "loss_curve": mark("Loss"),
    "cancel_job": mark("Cancel the training"),
    "attach_opening": mark("looking into it …"),
    "attach_waiting": mark("waiting until other uploads are done …"),
    "server_gone": mark("The page's server does not answer. What you type is kept; trying again …"),
    "attach_lost": mark("The connection broke. Send the file again."),
}


class HasHeaders(Protocol):
    """The part that Starlette's and Gradio's requests have in common."""

    @property
    def headers(self) -> Mapping[str, str]: ...


def language_of(request: HasHeaders) -> str:
    """Return the preferred language of Accept-Language that has a catalogue; "en" if none has."""
    asked = [_asked(part) for part in request.headers.get("accept-language", "").split(",")]
    for _, language in sorted(asked, key=lambda each: -each[0]):
        if language in LANGUAGES:
            return language
    return "en"


def _asked(part: str) -> tuple[float, str]:
    tag, _, weight = part.strip().partition(";q=")
    try:
        quality = float(weight) if weight else 1.0
    except ValueError:
        quality = 0.0
    return quality, tag.split("-")[0].lower()


def for_browser() -> dict[str, dict[str, str]]:
    """Return the labels for `gr.I18n`, by the language tags that browsers send."""
    english, chinese = (
        {name: say(label) for name, label in LABELS.items()} for say in map(Translator, LANGUAGES)
    )
    tags = ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-SG")
    return {"en": english, **dict.fromkeys(tags, chinese)}
