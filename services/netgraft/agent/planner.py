"""What a planner is: a sentence in its conversation becomes a reply.

The rules, a trained reader and a language model can each be one. A planner knows typed
steps, no protobuf and no database; what it must know of the turns before stands in the
`Context` that it is given, and what it needs to go on in the one that it returns.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from netgraft.agent.steps import Steps

Question = dict[str, Any]
"""What a planner keeps of a question that it asked, as JSON; only that planner reads it."""


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
    """What a conversation has come to: its last plan, and the question that is open."""

    steps: Steps = ()
    """Steps of the last plan, taken as accepted and run."""
    question: Question | None = None
    """What the planner kept of its question, when the last reply was one.

    It may come from another planner or another version: one that cannot read it goes on as if
    no question were open.
    """
    language: str = "en"


class Planner(Protocol):
    """Says what a sentence would become. Carries nothing out."""

    def plan(self, text: str, context: Context) -> tuple[Reply, Context]:
        """The reply to a text, and the context of what is said next."""
        ...
