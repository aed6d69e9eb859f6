"""A text planned outside any conversation: nothing is remembered, so no database is needed."""

from netgraft.agent import forms
from netgraft.agent.planner import Context
from netgraft.agent.rules import default_planner
from netgraft.errors import TooLarge
from netgraft.language import Message
from netgraft.v1 import agent_pb2

MAX_TEXT = 100_000
"""Most bytes of a text to plan."""


def plan(request: agent_pb2.PlanRequest) -> agent_pb2.PlannerReply:
    """The reply to a text without a conversation.

    Raises TooLarge; ModuleNotFoundError where the request names a conversation.
    """
    if request.conversation_id:
        raise ModuleNotFoundError("conversations are kept in a database", name="sqlalchemy")
    check_size(request.text)
    reply, _ = default_planner().plan(request.text, Context())
    return forms.reply_to_proto(forms.checked(reply))


def check_size(text: str) -> None:
    """Raise TooLarge if a text has more than MAX_TEXT bytes."""
    if len(text.encode()) > MAX_TEXT:
        limit = Message("{most:,} bytes", most=MAX_TEXT)
        raise TooLarge(what=Message("the text"), limit=limit)
