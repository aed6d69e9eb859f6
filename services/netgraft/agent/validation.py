"""The one check of a plan, wherever it comes from: a planner, a plan file, a client.

A plan comes as JSON or as typed steps. What is wrong is one sentence that names the step.
Whether a model, a data set or a loss exists is for the service that carries the step out.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netgraft.agent.steps import LARGEST, STEPS, Step, Steps, Value, types_of
from netgraft.errors import InvalidRequest
from netgraft.language import Message

MAX_STEPS = 100
_SHOWN = 80
"""Characters of a wrong value that a sentence repeats."""


def steps_of(document: object) -> Steps:
    """The typed steps of a plan's JSON, checked. Raises InvalidRequest."""
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise _wrong(Message("“steps” must be a list."))
    _count(len(document))
    return check(tuple(_step(number, step) for number, step in enumerate(document, 1)))


def step_of(number: int, action: str, said: Mapping[str, object]) -> Step:
    """The typed step of an action and its fields. Raises InvalidRequest.

    `number`, from 1, is its place in the plan. Where protobuf's JSON allows it, numbers may be
    texts, and field names may be in camelCase.
    """
    kind = STEPS.get(action)
    if kind is None:
        raise _wrong(
            Message("step {number}: there is no action {action}; the actions are {actions}.",
                    number=number, action=_shown(action), actions=", ".join(STEPS))
        )  # fmt: skip
    types = types_of(action)
    names = {_camel(name): name for name in types} | {name: name for name in types}
    values: dict[str, Any] = {}
    for field, value in said.items():
        if field not in names:
            raise _wrong(
                Message("step {number}: {action} has no field {field}; its fields are {fields}.",
                        number=number, action=action, field=_shown(field), fields=", ".join(types))
            )  # fmt: skip
        if value is not None:
            name = names[field]
            values[name] = _value(number, f"{action}.{name}", types[name], value)
    return kind(**values)


def check(steps: Sequence[Step]) -> Steps:
    """The steps, when they can be run in order. Raises InvalidRequest.

    Each has its required fields, its numbers are in range, and its "$N" refers to an earlier
    step that makes a model.
    """
    _count(len(steps))
    for number, step in enumerate(steps, 1):
        said = step.said()
        for group in step.needs:
            if not any(name in said for name in group):
                raise _wrong(
                    Message("step {number}: {action} needs {fields}.", number=number,
                            action=step.action, fields=_either(group))
                )  # fmt: skip
        for name, value in said.items():
            _range(number, f"{step.action}.{name}", value)
        for _, reference in step.references():
            _reference(steps, number, reference)
    return tuple(steps)


def _count(count: int) -> None:
    if not 1 <= count <= MAX_STEPS:
        raise _wrong(
            Message("a plan has 1 to {most} steps, not {count}.", most=MAX_STEPS, count=count)
        )


def _step(number: int, document: object) -> Step:
    if not isinstance(document, Mapping) or len(document) != 1:
        raise _wrong(
            Message("step {number} must be an object with one action, such as {example}.",
                    number=number, example='{"show": {"model": "resnet50"}}')
        )  # fmt: skip
    action, said = next(iter(document.items()))
    if not isinstance(said, Mapping):
        expected = Message("an object of fields")
        raise _mismatch(number, str(action), expected, said)
    return step_of(number, str(action), {str(name): value for name, value in said.items()})


def _value(number: int, field: str, kind: type, value: object) -> Value:
    """A value converted to its field's type."""
    if kind is tuple:
        if isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping):
            texts = tuple(value)
            if all(isinstance(text, str) for text in texts):
                return texts
        raise _mismatch(number, field, Message("a list of texts"), value)
    if kind is str:
        if not isinstance(value, str):
            raise _mismatch(number, field, Message("a text"), value)
        return value
    found = _number(value, kind)
    if found is None:
        expected = Message("a whole number") if kind is int else Message("a number")
        raise _mismatch(number, field, expected, value)
    return found


def _number(value: object, kind: type) -> int | float | None:
    """A number of a type, also if it is written as a text; None if the value is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, int):
        return value
    try:
        if kind is int and isinstance(value, str):
            return int(value)
        found = float(value)
    except ValueError:
        return None
    if kind is int:
        return int(found) if found.is_integer() else None
    return found


def _range(number: int, field: str, value: Value) -> None:
    if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= LARGEST):
        expected = Message("between {least} and {most}", least=-LARGEST, most=LARGEST)
        raise _mismatch(number, field, expected, value)


def _reference(steps: Sequence[Step], number: int, reference: str) -> None:
    if not reference.startswith("$"):
        return
    digits = reference[1:]
    target = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0
    if not 1 <= target < number:
        raise _wrong(
            Message("step {number} refers to {reference}, which is no earlier step.",
                    number=number, reference=_shown(reference))
        )  # fmt: skip
    made_by = steps[target - 1]
    if not made_by.makes_model:
        raise _wrong(
            Message("step {number} refers to {reference}, but {action} makes no model.",
                    number=number, reference=reference, action=made_by.action)
        )  # fmt: skip


def _mismatch(number: int, field: str, expected: Message, value: object) -> InvalidRequest:
    return _wrong(
        Message("step {number}: {field} must be {expected}, not {value}.", number=number,
                field=field, expected=expected, value=_shown(value))
    )  # fmt: skip


def _wrong(problem: Message) -> InvalidRequest:
    return InvalidRequest(problem=problem)


def _either(group: Sequence[str]) -> Message | str:
    if len(group) == 1:
        return group[0]
    return Message("{first} or {second}", first=group[0], second=group[1])


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
