"""What a plan's card says of the time and the accuracy of its trainings."""

import pytest

from netgraft.agent.estimates import _base_of, by_earlier_runs
from netgraft.agent.servicer import AgentServicer
from netgraft.agent.steps import Finetune, Retarget, Show, Steps
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.v1 import agent_pb2

PLAN: Steps = (
    Retarget(model="resnet50", classes=10),
    Show(model="$1"),
    Finetune(model="$1", data="digits"),
)


def test_what_is_expected_stands_beside_what_is_assumed(store: Store) -> None:
    def estimate(steps: Steps, current: str) -> tuple[str, ...]:
        assert [step.action for step in steps] == ["finetune"] and current == ""
        return ("forecast (90 %): 2 min to 4 min",)

    request = agent_pb2.PlanRequest(text="fine-tune resnet50 on digits", conversation_id="talk")
    reply = AgentServicer(store, estimate=estimate).Plan(request)
    assert list(reply.assumptions)[-1] == "forecast (90 %): 2 min to 4 min"
    (turn,) = (
        AgentServicer(store).GetConversation(agent_pb2.GetConversationRequest(id="talk")).turns
    )
    assert turn.reply.assumptions == reply.assumptions


def test_an_estimate_is_of_the_model_that_is_there_already() -> None:
    assert _base_of(PLAN, "$1", "") == "resnet50"
    assert _base_of((Retarget(classes=3), Finetune(model="$1", data="x")), "$1", "abc") == "abc"
    assert _base_of(PLAN, "resnet18", "abc") == "resnet18"


def test_a_plan_does_not_wait_for_a_server_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETGRAFT_GRPC_PORT", "9")  # nothing listens there
    settings.cache_clear()
    assert by_earlier_runs(PLAN, "") == ()
    assert by_earlier_runs(PLAN[:2], "") == ()
