"""The one place where sentences get their language: gettext catalogues, English and Chinese.

A sentence is written once, in English, where it is said: `Message("{name} is taken.", name="a")`
for one that goes on to others, `say("{name} is taken.", name="a")` by a `Translator` whose reader
is known; `plural` and `in_context` wrap templates that count or that mean two things.
`python services/netgraft/language/catalogue.py` collects all of them into
`catalogues/zh/LC_MESSAGES/netgraft.po`, where their Chinese stands. Knows nothing of what is said.
"""

from netgraft.language.message import (
    LANGUAGES,
    Message,
    from_plain,
    in_context,
    mark,
    message_to_plain,
    plural,
    quoted,
    render,
    said,
    say,
    shortened,
    to_plain,
    translation,
)
from netgraft.language.translator import Translator

__all__ = [
    "LANGUAGES",
    "Message",
    "Translator",
    "from_plain",
    "in_context",
    "mark",
    "message_to_plain",
    "plural",
    "quoted",
    "render",
    "said",
    "say",
    "shortened",
    "to_plain",
    "translation",
]
