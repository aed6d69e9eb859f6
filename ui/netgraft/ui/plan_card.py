"""The card of a plan that needs consent: its steps, their values, and what was assumed."""

from html import escape

from netgraft.language import Translator
from netgraft.ui.exchange import TRAINING
from netgraft.ui.steps import values, verb
from netgraft.v1.agent_pb2 import PlannerReply, Step


def plan_card(plan: PlannerReply, say: Translator) -> str:
    """Return the card as HTML, without its buttons."""
    steps = "".join(_step(step, say) for step in plan.steps)
    return (
        f'<section class="ng-card" aria-label="{escape(say("Run this plan?"))}">'
        f"<h3>{escape(say('Run this plan?'))}</h3><ol>{steps}</ol>"
        f"{_assumptions(plan, say)}"
        f"{_note(plan, say)}</section>"
    )


def _note(plan: PlannerReply, say: Translator) -> str:
    trains = any(step.WhichOneof("step") in TRAINING for step in plan.steps)
    if not trains:
        return ""
    note = say(
        "Training runs on this server until it ends or you cancel it, even when this page is "
        "closed."
    )
    return f'<p class="ng-quiet">{escape(note)}</p>'


def _step(step: Step, say: Translator) -> str:
    said = "".join(
        f"<span><dt>{escape(name)}</dt> <dd>{escape(value)}</dd></span>"
        for name, value in values(step, say)
    )
    return f"<li><strong>{escape(verb(step, say))}</strong><dl>{said}</dl></li>"


def _assumptions(plan: PlannerReply, say: Translator) -> str:
    if not plan.assumptions:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in plan.assumptions)
    return f"<p>{escape(say('Assumed, because it was not said'))}</p><ul>{lines}</ul>"
