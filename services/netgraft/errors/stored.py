"""Errors as they are stored: their template and values, so that any reader's language can say them.

A job may fail today and be looked at next year, by somebody who reads another language and with
another netgraft: what comes back is a `Message`, for which no class has to exist any more.
"""

import json
from string import Formatter

from netgraft.errors.base import NetgraftError
from netgraft.errors.status import every_error
from netgraft.language import Message, from_plain, message_to_plain


def to_json(error: NetgraftError) -> str:
    """An error as JSON: its reason, its template and its values."""
    return json.dumps(
        {"reason": error.reason, **message_to_plain(error.message)}, ensure_ascii=False
    )


def from_json(text: str) -> Message:
    """The sentence of a stored error. Text that is no JSON of ours is a sentence of before.

    Where the class still exists and needs no other values, its template of today is said.
    """
    try:
        found = json.loads(text)
        reason, message = found["reason"], from_plain(found)
    except (ValueError, TypeError, KeyError):
        return Message("{text}", text=text)
    if not isinstance(message, Message):
        return Message("{text}", text=text)
    template = {kind.reason: kind.template for kind in every_error()}.get(reason, "")
    fits = template and _fields(template) <= message.values.keys()
    return Message(template, **message.values) if fits else message


def _fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}
