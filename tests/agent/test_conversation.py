"""A conversation outlives the process: what was said, what it became, what is current."""

import time

import pytest

from netgraft.agent.conversation import Conversations
from netgraft.agent.servicer import AgentServicer
from netgraft.errors import InvalidValue, TooLarge
from netgraft.store.store import Store
from netgraft.store.tables import JobRow
from netgraft.v1 import agent_pb2


def say(store: Store, text: str, talk: str = "talk") -> agent_pb2.PlannerReply:
    """Said to a servicer of its own, as after a restart."""
    return AgentServicer(store).Plan(agent_pb2.PlanRequest(text=text, conversation_id=talk))


def test_a_follow_up_is_understood_after_a_restart(store: Store) -> None:
    say(store, "show resnet50, retarget to 100 classes")
    steps = say(store, "no, 10 classes").steps
    assert steps[1].retarget.classes == 10
    assert steps[1].retarget.model == "resnet50"


def test_the_answer_to_a_question_completes_the_plan_after_a_restart(store: Store) -> None:
    assert say(store, "show mobilenetv3, retarget to 10 classes").kind == "clarify"
    steps = say(store, "mobilenet_v3_small").steps
    assert steps[0].show.model == "mobilenet_v3_small"
    assert steps[1].retarget.classes == 10


def test_conversations_do_not_hear_each_other(store: Store) -> None:
    say(store, "retarget resnet50", "one")
    assert say(store, "10", "two").kind == "clarify"
    assert say(store, "10", "one").steps[0].retarget.classes == 10


def test_without_a_conversation_nothing_is_stored(store: Store) -> None:
    say(store, "show resnet50", "")
    assert Conversations(store).turns("") == []


def test_a_conversation_is_shown_again_in_the_order_said(store: Store) -> None:
    for text in ("show resnet50", "谢谢"):
        say(store, text)
    shown = AgentServicer(store).GetConversation(agent_pb2.GetConversationRequest(id="talk"))
    assert [turn.text for turn in shown.turns] == ["show resnet50", "谢谢"]
    assert [turn.reply.kind for turn in shown.turns] == ["plan", "answer"]
    assert shown.turns[0].time.seconds <= time.time()


def test_an_unknown_conversation_is_empty(store: Store) -> None:
    shown = AgentServicer(store).GetConversation(agent_pb2.GetConversationRequest(id="never"))
    assert (shown.id, shown.model_id, list(shown.turns)) == ("never", "", [])


def test_the_model_of_a_job_that_ended_unwatched_becomes_current(store: Store) -> None:
    talk = Conversations(store)
    talk.set_current("talk", model_id="a" * 64, job_id="tune-1-a")
    with store.session() as session:
        session.add(
            JobRow(
                id="tune-1-a",
                state="succeeded",
                spec="{}",
                created=time.time(),
                ended=time.time() + 1,
                result_model="b" * 64,
            )
        )
    assert talk.current("talk") == ("b" * 64, "tune-1-a")


@pytest.mark.parametrize("name", ["a b", "x" * 65, "../x", "名"])
def test_a_name_that_is_none_is_refused(store: Store, name: str) -> None:
    with pytest.raises(InvalidValue):
        say(store, "show resnet50", name)


def test_a_text_of_more_than_a_hundred_kilobytes_is_refused(store: Store) -> None:
    with pytest.raises(TooLarge):
        say(store, "x" * 100_001)
