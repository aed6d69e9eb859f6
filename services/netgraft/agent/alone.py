"""A text planned outside any conversation: nothing is remembered, so no database is needed."""

from netgraft.agent import jsonform
from netgraft.agent.rules import Context, default_planner
from netgraft.errors import TooLarge
from netgraft.v1 import agent_pb2

MAX_TEXT = 100_000
"""Bytes of a text to plan."""


def plan(request: agent_pb2.PlanRequest) -> agent_pb2.PlannerReply:
    """The reply to a text before which nothing was said.

    Raises TooLarge; ModuleNotFoundError where the request names a conversation.
    """
    if request.conversation_id:
        raise ModuleNotFoundError("conversations are kept in a database", name="sqlalchemy")
    check_size(request.text)
    return jsonform.reply_from_json(default_planner().plan(request.text, Context()).json())


def check_size(text: str) -> None:
    """Raises TooLarge where a text has more than MAX_TEXT bytes."""
    if len(text.encode()) > MAX_TEXT:
        raise TooLarge(what="text", limit=f"{MAX_TEXT:,} bytes")
