"""A conversation outlives the process: what was said, what it became, what is current."""

import time
from typing import Any

import pytest
from sqlalchemy import select, update

from netgraft.agent.conversation import Conversations
from netgraft.agent.planner import Context, Reply
from netgraft.agent.rules import default_planner
from netgraft.agent.servicer import AgentServicer
from netgraft.errors import InvalidValue, TooLarge
from netgraft.store.store import Store
from netgraft.store.tables import ConversationRow, JobRow, TurnRow
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


class Counting:
    """The rules, counting the sentences that they were given."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def plan(self, text: str, context: Context) -> tuple[Reply, Context]:
        self.asked.append(text)
        return default_planner().plan(text, context)


def change(store: Store, **values: Any) -> None:
    """Change the stored form of every turn."""
    with store.session() as session:
        session.execute(update(TurnRow).values(**values))


def test_what_was_said_before_is_not_planned_again(store: Store) -> None:
    for text in ("show resnet50", "谢谢", "retarget resnet18"):
        say(store, text)
    planner = Counting()
    request = agent_pb2.PlanRequest(text="10", conversation_id="talk")
    assert AgentServicer(store, planner).Plan(request).steps[0].retarget.classes == 10
    assert planner.asked == ["10"]


def test_a_turn_is_answered_in_the_language_of_the_turns_before(store: Store) -> None:
    say(store, "把resnet50改头")
    assert say(store, "10").steps[0].retarget.classes == 10
    assert say(store, "?").question == "想让我做什么？"


def test_the_last_plan_is_remembered_across_small_talk(store: Store) -> None:
    for text in ("retarget resnet50 to 100 classes", "thanks", "frobnicate it"):
        say(store, text)
    assert say(store, "no, 10 classes").steps[0].retarget.classes == 10


@pytest.mark.parametrize(
    ("turns", "answer"),
    [
        (["show resnet50, retarget to 100 classes"], "no, 10 classes"),
        (["show mobilenetv3, retarget to 10 classes"], "mobilenet_v3_small"),
        (["show resnet50", "谢谢", "retarget mobilenetv3", "2"], "2"),
    ],
)
def test_turns_of_an_older_version_are_understood_by_planning_them_again(
    store: Store, turns: list[str], answer: str
) -> None:
    for text in turns:
        say(store, text, "new")
        say(store, text, "talk")
    change(store, language=None, question=None)
    old = say(store, answer, "talk")
    assert old.kind == "plan"
    assert old == say(store, answer, "new")


@pytest.mark.parametrize("stored", ["{", "[1]", "3", '{"planner": "rules/1", "items": [7]}'])
def test_a_stored_question_that_cannot_be_read_is_not_open(store: Store, stored: str) -> None:
    say(store, "retarget resnet50")
    change(store, question=stored)
    reply = say(store, "10")
    assert (reply.kind, reply.options) == ("clarify", [])
    assert "10" in reply.question


def test_a_stored_plan_of_another_version_is_no_plan_to_correct(store: Store) -> None:
    say(store, "retarget resnet50 to 100 classes")
    change(store, reply='{"kind": "plan", "steps": [{"teleport": {"classes": 100}}]}')
    [step] = say(store, "no, 10 classes").steps  # a new one, of the current model
    assert (step.retarget.model, step.retarget.classes) == ("", 10)
    shown = AgentServicer(store).GetConversation(agent_pb2.GetConversationRequest(id="talk"))
    assert [len(turn.reply.steps) for turn in shown.turns] == [1, 1]


def test_the_turn_whose_question_is_open_is_known(store: Store) -> None:
    def open_turn() -> int | None:
        with store.session() as session:
            return session.get_one(ConversationRow, "talk").question_turn

    say(store, "thanks")
    assert open_turn() is None
    say(store, "retarget resnet50")
    assert open_turn() == 2
    say(store, "10")
    assert open_turn() is None


def test_conversations_do_not_hear_each_other(store: Store) -> None:
    say(store, "retarget resnet50", "one")
    assert say(store, "10", "two").kind == "clarify"
    assert say(store, "10", "one").steps[0].retarget.classes == 10


def test_without_a_conversation_nothing_is_stored(store: Store) -> None:
    say(store, "show resnet50", "")
    assert Conversations(store).turns("") == []
    with store.session() as session:
        assert session.scalars(select(TurnRow)).all() == []
        assert session.scalars(select(ConversationRow)).all() == []


def test_a_conversation_is_shown_again_in_the_order_said(store: Store) -> None:
    begun = int(time.time())
    for text in ("show resnet50", "谢谢"):
        say(store, text)
    shown = AgentServicer(store).GetConversation(agent_pb2.GetConversationRequest(id="talk"))
    assert [turn.text for turn in shown.turns] == ["show resnet50", "谢谢"]
    assert [turn.reply.kind for turn in shown.turns] == ["plan", "answer"]
    times = [turn.time.seconds for turn in shown.turns]
    assert begun <= times[0] <= times[1] <= time.time()


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
