"""What the planner answers with, in PLAN.md's JSON form."""

from dataclasses import dataclass, field
from typing import Any

Fields = dict[str, Any]
Steps = tuple[dict[str, Fields], ...]
"""Steps as PLAN.md writes them: `({"show": {"model": "resnet50"}}, …)`."""

PRODUCES_MODEL = frozenset({"retarget", "freeze", "unfreeze", "set_loss", "undo", "finetune"})
COSTLY = frozenset({"finetune", "resume", "cancel"})


@dataclass(frozen=True)
class Reply:
    """One of four kinds, with the fields that PLAN.md gives to that kind."""

    kind: str
    steps: Steps = ()
    assumptions: tuple[str, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()
    reason: str = ""
    text: str = ""

    def json(self) -> dict[str, Any]:
        """The JSON form, unset fields left out."""
        document: dict[str, Any] = {"kind": self.kind}
        if self.kind == "plan":
            document["steps"] = [dict(step) for step in self.steps]
        if self.assumptions:
            document["assumptions"] = list(self.assumptions)
        for name in ("question", "reason", "text"):
            if value := getattr(self, name):
                document[name] = value
        if self.options:
            document["options"] = list(self.options)
        return document


def action_of(step: dict[str, Fields]) -> str:
    """The step's name, such as "retarget"."""
    return next(iter(step))


@dataclass
class Ask(Exception):
    """Raised inside the planner where something is missing, ambiguous or not understood."""

    about: str
    """Key of the question in `words`."""
    values: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    slot: str = ""
    """The slot that an answer fills; empty: only a new sentence helps."""
    at: Any = None
    """The item that the answer replaces, or behind which it is put."""
    replaces: bool = False
