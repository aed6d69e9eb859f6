"""The steps of a plan in words and values, as the plan card and the chat show them."""

import re

from google.protobuf.message import Message

from netgraft.ui.messages import Words
from netgraft.v1.agent_pb2 import Step

REFERENCE = re.compile(r"\$(\d+)")
HAS_MODEL = "model"


def verb(step: Step, say: Words) -> str:
    """What the step does, in a word or two."""
    kind = step.WhichOneof("step") or ""
    return say.steps.get(kind, kind)


def values(step: Step, say: Words) -> list[tuple[str, str]]:
    """What was said for the step: name and value, in the order of the contract."""
    kind = step.WhichOneof("step")
    body: Message = getattr(step, kind) if kind else step
    said = [(field.name, _text(value, say)) for field, value in body.ListFields()]
    names = {field.name for field in body.DESCRIPTOR.fields}
    if HAS_MODEL in names and HAS_MODEL not in dict(said):
        said.insert(0, (HAS_MODEL, say.current_model))
    return [(say.fields.get(name, name), value) for name, value in said]


def _text(value: object, say: Words) -> str:
    if isinstance(value, str):
        reference = REFERENCE.fullmatch(value)
        return say.step_result.format(step=reference[1]) if reference else value
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value)
    return ", ".join(str(item) for item in value)  # type: ignore[attr-defined]  # repeated field
