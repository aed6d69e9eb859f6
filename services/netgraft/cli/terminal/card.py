"""The plan card: a plan's steps, the assumptions, and which steps need consent.

Knows nothing of how a plan is carried out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.names import field_name
from netgraft.language import mark

if TYPE_CHECKING:
    from netgraft.v1 import agent_pb2

VERBS = {
    "show": mark("show"),
    "compare": mark("compare"),
    "retarget": mark("retarget"),
    "freeze": mark("freeze"),
    "unfreeze": mark("unfreeze"),
    "set_loss": mark("set loss"),
    "undo": mark("undo"),
    "finetune": mark("fine-tune"),
    "forecast": mark("forecast"),
    "evaluate": mark("evaluate"),
    "predict": mark("predict"),
    "export": mark("export"),
    "list_models": mark("list models"),
    "inspect": mark("inspect"),
    "status": mark("status"),
    "cancel": mark("cancel"),
    "resume": mark("resume"),
    "list_jobs": mark("list jobs"),
}


def step_line(step: "agent_pb2.Step") -> str:
    """Return a step on one line: retarget · model resnet50 · classes 100."""
    kind = step.WhichOneof("step")
    if kind is None:
        return ""
    parts = [tr(VERBS[kind])]
    for field, value in getattr(step, kind).ListFields():
        shown = ", ".join(value) if field.is_repeated else value
        parts.append(f"{field_name(field.name)} {shown}")
    return " · ".join(parts)


def card_lines(reply: "agent_pb2.PlannerReply") -> Iterator[str]:
    """Yield the lines of the plan card."""
    for number, step in enumerate(reply.steps, start=1):
        line = step_line(step)
        if number in reply.needs_consent:
            line = tr("{step}  (needs consent)", step=line)
        yield f"  {number}. {line}"
    for assumed in reply.assumptions:
        yield "     " + tr("assumed: {assumption}", assumption=assumed)
