"""The planner's internal exception for a question to the user."""

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Ask(Exception):
    """Raised where something is missing, ambiguous or not understood."""

    about: str
    """Key of the question in `messages`."""
    values: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    slot: str = ""
    """The slot that an answer fills; empty: only a new sentence helps."""
    at: Any = None
    """The item that the answer replaces, or behind which it is put."""
    replaces: bool = False
