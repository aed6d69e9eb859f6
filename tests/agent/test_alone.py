"""A text planned without a database is planned as the service plans it."""

from pathlib import Path

import pytest

from netgraft.agent import alone
from netgraft.agent.servicer import AgentServicer
from netgraft.errors import TooLarge
from netgraft.v1 import agent_pb2


@pytest.mark.parametrize(
    "text",
    ["show resnet50, retarget to 100 classes", "把resnet50改成100类", "fine-tune", "", "hello"],
)
def test_it_is_what_the_service_answers(state: Path, text: str) -> None:
    request = agent_pb2.PlanRequest(text=text)
    assert alone.plan(request) == AgentServicer().Plan(request)


def test_a_text_beyond_the_limit_is_refused() -> None:
    with pytest.raises(TooLarge):
        alone.plan(agent_pb2.PlanRequest(text="x" * (alone.MAX_TEXT + 1)))


def test_a_conversation_needs_the_database() -> None:
    with pytest.raises(ModuleNotFoundError, match="conversations"):
        alone.plan(agent_pb2.PlanRequest(text="show resnet50", conversation_id="mine"))
