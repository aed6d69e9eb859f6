"""The one place where sentences get their language: gettext catalogues, English and Chinese.

A sentence is written once, in English, where it is said: `Message("{count} pictures", count=3)`.
`python services/netgraft/language/catalogue.py` collects all of them into
`catalogues/zh/LC_MESSAGES/netgraft.po`, where their Chinese stands. Knows nothing of what is said.
"""

from netgraft.language.message import (
    LANGUAGES,
    Message,
    from_plain,
    mark,
    message_to_plain,
    quoted,
    render,
    said,
    say,
    to_plain,
    translation,
)

__all__ = [
    "LANGUAGES",
    "Message",
    "from_plain",
    "mark",
    "message_to_plain",
    "quoted",
    "render",
    "said",
    "say",
    "to_plain",
    "translation",
]
