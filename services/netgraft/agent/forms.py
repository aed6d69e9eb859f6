"""A plan in its three forms: typed steps, JSON, and protobuf.

In JSON, field names are those of `agent.proto`, integers are numbers, and unset fields are left
out. Planner replies, plan files, batch files, stored conversations and consent all use this form.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message as Protobuf

from netgraft.agent.planner import Reply
from netgraft.agent.steps import STEPS, Step, Steps, consent_needed
from netgraft.agent.validation import check, step_of, steps_of
from netgraft.errors import InvalidRequest
from netgraft.language import Message
from netgraft.v1 import agent_pb2

KINDS = ("plan", "clarify", "refuse", "answer")
TEXTS = ("question", "reason", "text")
LISTS = ("assumptions", "options")
Json = dict[str, Any]
M = TypeVar("M", bound=Protobuf)


# Steps


def step_to_json(step: Step) -> Json:
    """The JSON of a step: `{"show": {"model": "resnet50"}}`."""
    said = step.said().items()
    return {step.action: {k: list(v) if isinstance(v, tuple) else v for k, v in said}}


def steps_to_json(steps: Iterable[Step]) -> list[Json]:
    """The JSON of a plan's steps."""
    return [step_to_json(step) for step in steps]


def steps_from_json(document: object) -> Steps:
    """A plan's steps from their JSON, checked. Raises InvalidRequest."""
    return steps_of(document)


def steps_to_proto(steps: Iterable[Step]) -> list[agent_pb2.Step]:
    """A plan's steps as messages."""
    return [agent_pb2.Step(**step_to_json(step)) for step in steps]


def steps_from_proto(messages: Iterable[agent_pb2.Step]) -> Steps:
    """A plan's steps from their messages, checked. Raises InvalidRequest."""
    return check(tuple(_from_proto(number, one) for number, one in enumerate(messages, 1)))


def _from_proto(number: int, message: agent_pb2.Step) -> Step:
    action = message.WhichOneof("step")
    if action is None:
        problem = Message("step {number} names no action.", number=number)
        raise InvalidRequest(problem=problem)
    said = getattr(message, action).ListFields()
    return step_of(number, action, {field.name: value for field, value in said})


def fingerprint(steps: Iterable[Step]) -> str:
    """SHA-256 of the canonical JSON of a plan: sorted keys, no spaces."""
    text = json.dumps(
        steps_to_json(steps), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(text.encode()).hexdigest()


# Replies


def checked(reply: Reply) -> Reply:
    """The reply if it keeps to the contract. Raises InvalidRequest."""
    if reply.kind not in KINDS:
        raise InvalidRequest(
            problem=Message("kind must be one of {kinds}, not {kind}.", kinds=", ".join(KINDS),
                            kind=repr(reply.kind[:80]))
        )  # fmt: skip
    if reply.kind == "plan":
        check(reply.steps)
    return reply


def reply_to_json(reply: Reply) -> Json:
    """The JSON of a reply."""
    document: Json = {"kind": reply.kind}
    if reply.kind == "plan":
        document["steps"] = steps_to_json(reply.steps)
    said = {name: getattr(reply, name) for name in (*LISTS, *TEXTS)}
    return document | {k: list(v) if isinstance(v, tuple) else v for k, v in said.items() if v}


def reply_from_json(document: Mapping[str, Any]) -> Reply:
    """A reply from its JSON, checked. Raises InvalidRequest."""
    unknown = [name for name in document if name not in ("kind", "steps", *LISTS, *TEXTS, _FIELD)]
    if unknown:
        problem = Message("a reply has no field {field}.", field=repr(str(unknown[0])[:80]))
        raise InvalidRequest(problem=problem)
    said: dict[str, Any] = {name: document.get(name, "") for name in ("kind", *TEXTS)}
    for name, text in said.items():
        if not isinstance(text, str):
            raise InvalidRequest(problem=Message("{field} must be a text.", field=name))
    for name in LISTS:
        lines = document.get(name, ())
        if not isinstance(lines, list | tuple) or not all(isinstance(one, str) for one in lines):
            raise InvalidRequest(problem=Message("{field} must be a list of texts.", field=name))
        said[name] = tuple(lines)
    steps = steps_of(document.get("steps", ())) if said["kind"] == "plan" else ()
    return checked(Reply(steps=steps, **said))


_FIELD = "needs_consent"
"""May appear in a reply's JSON, but is always worked out from its steps."""


def reply_to_proto(reply: Reply) -> agent_pb2.PlannerReply:
    """A reply as a message, which says which of its steps need consent."""
    return stored_reply(reply_to_json(reply))


def stored_reply(document: Mapping[str, Any]) -> agent_pb2.PlannerReply:
    """A stored reply as a message. Steps and fields of another version are left out."""
    message = _from_json(document, agent_pb2.PlannerReply())
    actions = (STEPS.get(step.WhichOneof("step") or "") for step in message.steps)
    message.needs_consent[:] = consent_needed(actions)
    return message


# Events


def event_to_json(event: agent_pb2.RunEvent) -> Json:
    """The JSON of what happened, for storing."""
    document: Json = json_format.MessageToDict(
        event, preserving_proto_field_name=True, unquote_int64_if_possible=True
    )
    return document


def event_from_json(document: Mapping[str, Any]) -> agent_pb2.RunEvent:
    """A stored event."""
    return _from_json(document, agent_pb2.RunEvent())


def _from_json(document: Mapping[str, Any], message: M) -> M:
    try:
        json_format.ParseDict(dict(document), message, ignore_unknown_fields=True)
    except json_format.ParseError as error:
        problem = Message("what was stored cannot be read: {error}.", error=str(error))
        raise InvalidRequest(problem=problem) from error
    return message
