"""A plan that needs consent as a card to agree to: its steps, their values, what was assumed."""

from html import escape

from netgraft.ui.exchange import TRAINING
from netgraft.ui.messages import Words
from netgraft.ui.steps import values, verb
from netgraft.v1.agent_pb2 import PlannerReply, Step


def plan_card(plan: PlannerReply, say: Words) -> str:
    """The card as HTML, without its buttons."""
    steps = "".join(_step(step, say) for step in plan.steps)
    return (
        f'<section class="ng-card" aria-label="{escape(say.card_title)}">'
        f"<h3>{escape(say.card_title)}</h3><ol>{steps}</ol>"
        f"{_assumptions(plan, say)}"
        f"{_note(plan, say)}</section>"
    )


def _note(plan: PlannerReply, say: Words) -> str:
    trains = any(step.WhichOneof("step") in TRAINING for step in plan.steps)
    return f'<p class="ng-quiet">{escape(say.card_note)}</p>' if trains else ""


def _step(step: Step, say: Words) -> str:
    said = "".join(
        f"<span><dt>{escape(name)}</dt> <dd>{escape(value)}</dd></span>"
        for name, value in values(step, say)
    )
    return f"<li><strong>{escape(verb(step, say))}</strong><dl>{said}</dl></li>"


def _assumptions(plan: PlannerReply, say: Words) -> str:
    if not plan.assumptions:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in plan.assumptions)
    return f"<p>{escape(say.card_assumptions)}</p><ul>{lines}</ul>"
