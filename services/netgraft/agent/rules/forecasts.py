"""Sentences that ask how long a training would take, what it would cost, what it would reach.

Such a sentence is read as one that asks for the training, or it is about the plan that was made
last; what comes of it is a plan that only forecasts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields

from netgraft.agent.rules.clause import BREAKS
from netgraft.agent.rules.followups import edited
from netgraft.agent.rules.tokens import Token
from netgraft.agent.steps import Finetune, Forecast, Step, Steps

ASKS = "forecast"
"""Tag of the words that ask for a forecast."""
_OWN = (ASKS, "has", "question", "please", "howmany", "then", "is", "for", "to", "of", "a")
"""Tags of words that belong to such a question."""


def asked(items: Iterable[Token]) -> bool:
    """Return whether a sentence asks for a forecast."""
    return any(item.tag == ASKS for item in items)


def trained(items: Sequence[Token]) -> list[Token]:
    """The items of the same sentence, asking for the training itself."""
    kept = _without_question(items)
    if not any(item.has("train", "CLASSES", "CLASS_NAMES") for item in kept):
        at = kept[0].start if kept else 0
        kept.insert(0, Token((("train", ""),), "", at, at))
    return kept


def of_last(items: Sequence[Token], before: Steps) -> Steps:
    """A forecast of the last plan, as it is or with other values; () where it is of another."""
    if not any(isinstance(step, Finetune | Forecast) for step in before):
        return ()
    others = [item for item in items if not item.has(*_OWN, *BREAKS, "train", "it", "them")]
    if not others:
        return instead(before)
    return instead(edited(_without_question(items), before))


def _without_question(items: Sequence[Token]) -> list[Token]:
    return [item for item in items if item.tag not in (ASKS, "has", "howmany", "question")]


def instead(steps: Iterable[Step]) -> Steps:
    """A plan up to its last training, with forecasts in the places of trainings."""
    found = tuple(_forecast(step) if isinstance(step, Finetune) else step for step in steps)
    last = max((n for n, step in enumerate(found, 1) if isinstance(step, Forecast)), default=0)
    return tuple(step for step in found[:last])


def _forecast(step: Finetune) -> Forecast:
    return Forecast(**{field.name: getattr(step, field.name) for field in fields(Forecast)})
