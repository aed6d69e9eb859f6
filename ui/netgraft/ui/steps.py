"""Describe the steps of a plan in words, for the plan card and the chat."""

import re

from google.protobuf.message import Message

from netgraft.language import Translator, in_context, mark
from netgraft.v1.agent_pb2 import Step

REFERENCE = re.compile(r"\$(\d+)")
HAS_MODEL = "model"

STEPS = {
    "show": mark("Show"),
    "compare": mark("Compare"),
    "retarget": mark("Retarget"),
    "freeze": mark("Freeze"),
    "unfreeze": mark("Unfreeze"),
    "set_loss": mark("Set the loss"),
    "undo": mark("Undo the last edit"),
    "finetune": mark("Fine-tune"),
    "forecast": mark("Forecast"),
    "evaluate": mark("Evaluate"),
    "predict": mark("Predict"),
    "export": mark("Export"),
    "list_models": mark("List models"),
    "inspect": mark("Inspect"),
    "status": mark("State of the job"),
    "cancel": mark("Cancel the job"),
    "resume": mark("Resume the job"),
    "list_jobs": mark("List jobs"),
}
"""What each step of a plan is called."""

FIELDS = {
    "model": mark("model"),
    "focus": mark("focus"),
    "a": mark("a"),
    "b": mark("b"),
    "classes": in_context("how many", "classes"),
    "class_names": mark("class names"),
    "layers": mark("layers"),
    "loss": in_context("function", "loss"),
    "data": mark("data"),
    "split": mark("part of the data"),
    "epochs": mark("epochs"),
    "lr": mark("learning rate"),
    "batch_size": mark("batch size"),
    "optimizer": mark("optimizer"),
    "workers": mark("workers"),
    "device": mark("device"),
    "precision": mark("precision"),
    "strategy": mark("strategy"),
    "image_size": mark("image size"),
    "seed": mark("seed"),
    "max_minutes": mark("minutes at most"),
    "max_cost": mark("cost at most"),
    "augment": mark("augment"),
    "balance": mark("balance"),
    "skip_bad": mark("share that may be left out"),
    "input": mark("input"),
    "format": mark("format"),
    "query": mark("query"),
    "task": mark("task"),
    "max_params": mark("parameters at most"),
    "min_accuracy": mark("accuracy at least"),
    "limit": mark("limit"),
    "job": mark("job"),
    "state": mark("state"),
}
"""What each value of a step is called."""


def verb(step: Step, say: Translator) -> str:
    """Return the action of a step in a word or two."""
    kind = step.WhichOneof("step") or ""
    return say(STEPS.get(kind, kind))


def values(step: Step, say: Translator) -> list[tuple[str, str]]:
    """Return the fields of a step, as names and values, in the order of the contract."""
    kind = step.WhichOneof("step")
    body: Message = getattr(step, kind) if kind else step
    said = [(field.name, _text(value, say)) for field, value in body.ListFields()]
    names = {field.name for field in body.DESCRIPTOR.fields}
    if HAS_MODEL in names and HAS_MODEL not in dict(said):
        said.insert(0, (HAS_MODEL, say("the current model")))
    return [(say(FIELDS.get(name, name)), value) for name, value in said]


def _text(value: object, say: Translator) -> str:
    if isinstance(value, str):
        reference = REFERENCE.fullmatch(value)
        return say("result of step {step}", step=reference[1]) if reference else value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    return ", ".join(str(item) for item in value)  # type: ignore[attr-defined]  # repeated field
