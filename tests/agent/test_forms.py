"""The contract's JSON, and plans from outside, which are checked before they are used."""

import json
from typing import Any

import pytest

from netgraft.agent import plan_lines
from netgraft.agent.forms import (
    fingerprint,
    reply_from_json,
    reply_to_json,
    reply_to_proto,
    steps_from_json,
    steps_from_proto,
    steps_to_json,
    steps_to_proto,
    stored_reply,
)
from netgraft.errors import InvalidRequest
from netgraft.v1 import agent_pb2

DOCUMENT: dict[str, Any] = {
    "kind": "plan",
    "steps": [
        {"show": {"model": "resnet50"}},
        {"retarget": {"model": "resnet50", "classes": 100}},
        {"finetune": {"model": "$2", "data": "./flowers", "epochs": 5, "lr": 0.01}},
        {"status": {}},
    ],
}


def test_a_reply_survives_the_way_through_protobuf_unchanged() -> None:
    assert reply_to_json(reply_from_json(DOCUMENT)) == DOCUMENT
    assert stored_reply(DOCUMENT) == reply_to_proto(reply_from_json(DOCUMENT))


def test_integers_stay_numbers_and_unset_fields_stay_out() -> None:
    text = json.dumps(reply_to_json(reply_from_json(DOCUMENT)))
    assert '"classes": 100' in text
    assert "assumptions" not in text


@pytest.mark.parametrize(
    "steps",
    [
        [{"show": {"model": "$1"}}],
        [{"show": {"model": "$2"}}, {"retarget": {"classes": 2}}],
        [{"show": {}}, {"export": {"model": "$1", "format": "onnx"}}],
        [{"retarget": {"classes": 2}}, {"compare": {"a": "$x", "b": "resnet18"}}],
        [{"retarget": {"classes": 2}}, {"show": {"model": "$0"}}],
        [{"retarget": {"classes": 2}}, {"show": {"model": "$²"}}],
        [{}],
        [],
        [{"format_disk": {}}],
        [{"retarget": {"classes": "many"}}],
        [{"show": {}}] * 101,
    ],
    ids=str,
)
def test_a_plan_that_cannot_run_in_order_is_refused(steps: list[dict[str, Any]]) -> None:
    with pytest.raises(InvalidRequest):
        steps_from_json(steps)


def test_steps_survive_the_way_through_protobuf_unchanged() -> None:
    steps = steps_from_json(DOCUMENT["steps"])
    assert steps_from_proto(steps_to_proto(steps)) == steps
    assert steps_to_json(steps) == DOCUMENT["steps"]


def test_a_step_without_an_action_is_refused_as_a_message_too() -> None:
    with pytest.raises(InvalidRequest, match="step 2 names no action"):
        steps_from_proto([agent_pb2.Step(undo={}), agent_pb2.Step()])


def test_a_reply_as_a_message_says_which_steps_need_consent() -> None:
    assert list(reply_to_proto(reply_from_json(DOCUMENT)).needs_consent) == [3]
    saved = {**DOCUMENT, "needs_consent": []}  # worked out again, whatever a file says
    assert list(reply_to_proto(reply_from_json(saved)).needs_consent) == [3]


def test_a_stored_reply_of_another_version_is_shown_as_far_as_it_is_known() -> None:
    steps = [{"cancel": {"job": "tune-1", "kindly": True}}, {"teleport": {}}]
    reply = stored_reply({"kind": "plan", "steps": steps, "mood": "good"})
    assert reply.steps[0].cancel.job == "tune-1"
    assert list(reply.needs_consent) == [1]


@pytest.mark.parametrize(
    "document",
    [
        {"kind": "clarify", "options": "yes"},
        {"kind": "clarify", "options": [1]},
        {"kind": "answer", "text": 4},
        {"kind": 1},
        {"kind": "answer", "mood": "good"},
        {"kind": "plan"},
        {"kind": "plan", "steps": "show"},
    ],
    ids=str,
)
def test_a_reply_that_is_none_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        reply_from_json(document)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        reply_from_json({"kind": "execute"})


def test_the_fingerprint_depends_on_every_value_and_on_nothing_else() -> None:
    steps = steps_from_json(DOCUMENT["steps"])
    shuffled = [{"show": {"model": "resnet50"}}, *DOCUMENT["steps"][1:]]
    changed = [*DOCUMENT["steps"][:3], {"cancel": {}}]
    assert fingerprint(steps) == fingerprint(steps_from_json(shuffled))
    assert fingerprint(steps) != fingerprint(steps_from_json(changed))


def test_a_batch_file_gets_a_reply_for_each_of_its_lines() -> None:
    lines = [
        '{"id": "a", "turns": ["show resnet50", "export it as onnx"]}',
        "",
        '{"id": 2, "turns": ["谢谢"]}',
    ]
    replies = list(plan_lines(lines))
    assert [reply["id"] for reply in replies] == ["a", 2]
    assert replies[0]["reply"]["steps"] == [{"export": {"format": "onnx"}}]
    assert replies[1]["reply"]["kind"] == "answer"


@pytest.mark.parametrize(
    "line", ["nonsense", "[1]", '{"id": 1}', '{"id": 1, "turns": []}', '{"id": 1, "turns": [2]}']
)
def test_a_malformed_batch_line_is_named(line: str) -> None:
    with pytest.raises(InvalidRequest, match="line 2"):
        list(plan_lines(['{"id": 1, "turns": ["hi"]}', line]))
