"""The question that is open: what was said, what is missing, and how an answer completes it."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from netgraft.agent.planner import Question
from netgraft.agent.rules.ask import Ask
from netgraft.agent.rules.clause import LAYERS, SPECIFIC
from netgraft.agent.rules.numbers import Match
from netgraft.agent.rules.tokens import Token

VERSION = "rules/1"
"""The planner that kept the question, and its format."""

_ANSWERING: dict[str, tuple[str, ...]] = {
    "model": ("MODEL", "FROM_TIMM", "FROM_TORCHVISION"),
    "classes": ("CLASSES", "CLASS_NAMES", "num"),
    "data": ("DATA", "unk", "quoted", "INPUT"),
    "format": ("FORMAT",),
    "loss": ("LOSS",),
    "layers": LAYERS,
    "input": ("INPUT", "DATA", "unk"),
}
_SLOTS = ("", "verb", *_ANSWERING)
_NUMERIC = ("classes",)
"""Slots that take a number: for them "2" is a value, not the second option."""
_MADE = {"classes": "CLASSES", "data": "DATA", "input": "INPUT"}
_CONTENT = ("num", "unk", "family", "nomodel", "UNSUPPORTED", "params", "flops", "if", "or")
_CHOICE = re.compile(
    r"(?:the |option |number |#|第)?(\d{1,2}|first|second|third|[一二三])(?: one|个|项)?[.)]?",
    re.IGNORECASE,
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "一": 1, "二": 2, "三": 3}


@dataclass(frozen=True)
class Draft:
    """A request with a hole: its items, what fills the hole, and the options that were shown."""

    items: tuple[Token, ...]
    slot: str
    position: int = 0
    replaces: bool = False
    options: tuple[str, ...] = ()

    @classmethod
    def of(cls, items: Sequence[Token], ask: Ask) -> "Draft | None":
        """The draft that a question leaves behind; None when no answer could complete it."""
        if not ask.slot and not ask.options:
            return None
        at = next((n for n, item in enumerate(items) if item == ask.at), len(items) - 1)
        return cls(tuple(items), ask.slot, at, ask.replaces, ask.options)

    def json(self) -> Question:
        """The draft as JSON, for `read`."""
        document = asdict(self)
        document["items"] = [_token_to_json(item) for item in self.items]
        return {"planner": VERSION, **document, "options": list(self.options)}

    def chosen(self, text: str) -> str:
        """The option that a text such as "2" or "the second one" stands for; else the text."""
        found = _CHOICE.fullmatch(text)
        if not found or self.slot in _NUMERIC:
            return text
        word = found[1].lower()
        number = _ORDINALS.get(word) or int(word)
        return self.options[number - 1] if 1 <= number <= len(self.options) else text

    def complete(self, items: Sequence[Token]) -> list[Token] | None:
        """The draft's items with an answer in the hole; None if the text is no answer."""
        verbs = [item for item in items if item.has(*SPECIFIC, "show", "list", "inspect", "load")]
        before, after = self.items[: self.position], self.items[self.position + 1 :]
        middle = self.items[self.position : self.position + 1]
        if self.slot == "verb":
            named = any(item.has("MODEL") for item in items)
            return [*self.items, *items] if verbs and not named else None
        if verbs or not self.slot:
            return None
        answering = [item for item in items if item.has(*_ANSWERING[self.slot])]
        strangers = [item for item in items if item.has(*_CONTENT) and item not in answering]
        if not answering or strangers:
            return None
        answers = [
            _as_slot(item, self.slot)
            for item in items
            if not item.has("correct", "yes", "with", "on")
        ]
        return [*before, *(() if self.replaces else middle), *answers, *after]


def read(question: Question | None) -> Draft | None:
    """The draft of an open question; None if there is none that these rules can read."""
    if question is None or question.get("planner") != VERSION:
        return None
    try:
        draft = Draft(
            tuple(_token_from_json(item) for item in question["items"]),
            str(question["slot"]),
            int(question["position"]),
            bool(question["replaces"]),
            tuple(str(option) for option in question["options"]),
        )
    except (LookupError, TypeError, ValueError, AttributeError):
        return None
    return draft if draft.slot in _SLOTS else None


def _as_slot(item: Token, slot: str) -> Token:
    if item.tag in ("num", "unk", "quoted") and slot in _MADE:
        value = item.value.value if isinstance(item.value, Match) else item.value or item.text
        return Token(((_MADE[slot], ""),), item.text, item.start, item.end, value)
    return item


def _token_to_json(token: Token) -> dict[str, Any]:
    value = token.value
    if isinstance(value, Match):
        value = {"number": asdict(value)}
    elif isinstance(value, tuple):
        value = list(value)
    return {
        "readings": [list(reading) for reading in token.readings],
        "text": token.text,
        "place": [token.start, token.end],
        "value": value,
        "spaced": token.spaced,
    }


def _token_from_json(document: dict[str, Any]) -> Token:
    value = document["value"]
    if isinstance(value, dict):
        value = Match(**value["number"])
    elif isinstance(value, list):
        value = tuple(value)
    readings = tuple((str(tag), str(reading)) for tag, reading in document["readings"])
    if not readings:
        raise ValueError
    start, end = document["place"]
    return Token(readings, str(document["text"]), int(start), int(end), value, document["spaced"])
