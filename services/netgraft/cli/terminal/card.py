"""A plan in words: its steps, what was assumed, what needs consent.

Knows nothing of how a plan is carried out.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr

if TYPE_CHECKING:
    from netgraft.v1 import agent_pb2

WORDS = {
    "show": ("show", "绘制"),
    "compare": ("compare", "比较"),
    "retarget": ("retarget", "改头"),
    "freeze": ("freeze", "冻结"),
    "unfreeze": ("unfreeze", "解冻"),
    "set_loss": ("set loss", "设置损失"),
    "undo": ("undo", "撤销"),
    "finetune": ("fine-tune", "微调"),
    "evaluate": ("evaluate", "评估"),
    "predict": ("predict", "预测"),
    "export": ("export", "导出"),
    "list_models": ("list models", "列出模型"),
    "inspect": ("inspect", "查看"),
    "status": ("status", "状态"),
    "cancel": ("cancel", "取消"),
    "resume": ("resume", "恢复"),
    "list_jobs": ("list jobs", "列出任务"),
}


def step_line(step: "agent_pb2.Step") -> str:
    """One step on one line: retarget · model resnet50 · classes 100."""
    kind = step.WhichOneof("step")
    if kind is None:
        return ""
    parts = [tr(*WORDS[kind])]
    for field, value in getattr(step, kind).ListFields():
        parts.append(f"{field.name} {', '.join(value) if field.is_repeated else value}")
    return " · ".join(parts)


def card_lines(reply: "agent_pb2.PlannerReply") -> Iterator[str]:
    """The plan card."""
    for number, step in enumerate(reply.steps, start=1):
        consent = number in reply.needs_consent
        asks = tr("  (asks consent)", "（需要同意）") if consent else ""
        yield f"  {number}. {step_line(step)}{asks}"
    for line in reply.assumptions:
        yield f"     {tr('assumed', '默认')}: {line}"
