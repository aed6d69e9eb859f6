"""Plans and replies between protobuf and the JSON form that PLAN.md defines.

Field names stay snake_case, integers are numbers, unset fields are left out. Every
planner, the CLI, batch files and consent use this one form.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

from netgraft.agent.rules.reply import PRODUCES_MODEL, Fields, action_of
from netgraft.errors import InvalidRequest
from netgraft.v1 import agent_pb2

KINDS = ("plan", "clarify", "refuse", "answer")
MAX_STEPS = 100
Json = dict[str, Any]
M = TypeVar("M", bound=Message)


def reply_to_json(reply: agent_pb2.PlannerReply) -> Json:
    """The contract's JSON of a reply."""
    return _to_json(reply)


def reply_from_json(document: Mapping[str, Any]) -> agent_pb2.PlannerReply:
    """A reply from its JSON. Raises InvalidRequest."""
    reply = _from_json(document, agent_pb2.PlannerReply())
    if reply.kind not in KINDS:
        raise InvalidRequest(problem=f"kind is {reply.kind!r}, not one of {', '.join(KINDS)}.")
    if reply.kind == "plan":
        check(steps_to_json(reply.steps))
    return reply


def steps_to_json(steps: Iterable[agent_pb2.Step]) -> list[Json]:
    """The JSON of a plan's steps."""
    return [_to_json(step) for step in steps]


def steps_from_json(steps: Iterable[Mapping[str, Any]]) -> list[agent_pb2.Step]:
    """A plan's steps from their JSON, checked. Raises InvalidRequest."""
    made = [_from_json(step, agent_pb2.Step()) for step in steps]
    check(steps_to_json(made))
    return made


def event_to_json(event: agent_pb2.RunEvent) -> Json:
    """The JSON of what happened, for storing."""
    return _to_json(event)


def event_from_json(document: Mapping[str, Any]) -> agent_pb2.RunEvent:
    """A stored event."""
    return _from_json(document, agent_pb2.RunEvent())


def fingerprint(steps: Iterable[agent_pb2.Step]) -> str:
    """SHA-256 of the canonical JSON of a plan: sorted keys, no spaces."""
    text = json.dumps(
        steps_to_json(steps), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


def check(steps: Sequence[Mapping[str, Fields]]) -> None:
    """A plan from anywhere must be one that can be run in order. Raises InvalidRequest.

    Every step names one action; "$N" points back, at a step that makes a model.
    """
    if not 1 <= len(steps) <= MAX_STEPS:
        raise InvalidRequest(problem=f"a plan has 1 to {MAX_STEPS} steps, not {len(steps)}.")
    for number, step in enumerate(steps, 1):
        if len(step) != 1:
            raise InvalidRequest(problem=f"step {number} names no action.")
        for field in ("model", "a", "b"):
            _check_reference(steps, number, step[action_of(dict(step))].get(field, ""))


def _check_reference(steps: Sequence[Mapping[str, Fields]], number: int, reference: str) -> None:
    if not reference.startswith("$"):
        return
    digits = reference[1:]
    target = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else 0
    if not 1 <= target < number:
        problem = f"step {number} refers to {reference}, which is no earlier step."
        raise InvalidRequest(problem=problem)
    action = action_of(dict(steps[target - 1]))
    if action not in PRODUCES_MODEL:
        problem = f"step {number} refers to {reference}, but {action} makes no model."
        raise InvalidRequest(problem=problem)


def _to_json(message: Message) -> Json:
    document: Json = json_format.MessageToDict(
        message, preserving_proto_field_name=True, unquote_int64_if_possible=True
    )
    return document


def _from_json(document: Mapping[str, Any], message: M) -> M:
    try:
        json_format.ParseDict(dict(document), message)
    except json_format.ParseError as error:
        raise InvalidRequest(problem=str(error)) from error
    return message
