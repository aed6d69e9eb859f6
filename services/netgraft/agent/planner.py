"""The protocol of planners: a sentence in its conversation becomes a reply.

The rules, a trained reader and a language model can each be one. A planner knows typed
steps, no protobuf and no database; all it needs of the earlier turns is in the `Context` that
it is given, and all it needs to go on in the one that it returns.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from netgraft.agent.steps import Steps

Question = dict[str, Any]
"""A planner's record of a question that it asked, as JSON; only that planner reads it."""


@dataclass(frozen=True)
class Reply:
    """One of the contract's kinds, with the fields that belong to it."""

    kind: str
    """ "plan", "clarify", "refuse" or "answer"."""
    steps: Steps = ()
    assumptions: tuple[str, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()
    reason: str = ""
    text: str = ""


@dataclass(frozen=True)
class Context:
    """The state of a conversation: its last plan, and the question that is open."""

    steps: Steps = ()
    """Steps of the last plan, taken as accepted and run."""
    question: Question | None = None
    """The planner's record of its question, if the last reply was one.

    It may come from another planner or another version: one that cannot read it goes on as if
    no question were open.
    """
    language: str = "en"


class Planner(Protocol):
    """Turns a sentence into a reply. Carries nothing out."""

    def plan(self, text: str, context: Context) -> tuple[Reply, Context]:
        """The reply to a text, and the context of what is said next."""
        ...
