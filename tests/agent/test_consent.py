"""Plans that need consent: without a valid token no step of them runs."""

import ast
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from netgraft.agent import consent
from netgraft.agent.forms import steps_from_json, steps_to_proto
from netgraft.agent.servicer import AgentServicer
from netgraft.agent.steps import STEPS
from netgraft.errors import ConsentNeeded, InvalidRequest
from netgraft.store.store import Store
from netgraft.v1 import agent_pb2

TRAIN = [{"retarget": {"model": "resnet18", "classes": 10}}, {"finetune": {"data": "digits"}}]
OTHER = [{"retarget": {"model": "resnet18", "classes": 10}}, {"finetune": {"data": "./else"}}]


def request(steps: list[dict[str, Any]], token: str = "", talk: str = "t") -> agent_pb2.RunRequest:
    return agent_pb2.RunRequest(
        steps=steps_to_proto(steps_from_json(steps)), conversation_id=talk, consent_token=token
    )


def leave(agent: AgentServicer, steps: list[dict[str, Any]], talk: str = "t") -> str:
    messages = steps_to_proto(steps_from_json(steps))
    asked = agent_pb2.ConsentRequest(steps=messages, conversation_id=talk)
    return agent.Consent(asked).token


@pytest.fixture
def agent(store: Store, state: Path) -> AgentServicer:
    # Nothing listens there: a step that ran would fail with another error.
    return AgentServicer(store, address="127.0.0.1:9")


async def refused(agent: AgentServicer, asked: agent_pb2.RunRequest) -> None:
    events = []
    with pytest.raises(ConsentNeeded):
        async for event in agent.Run(asked):
            events.append(event)  # what came before the error counts
    assert events == []
    turns = agent.GetConversation(agent_pb2.GetConversationRequest(id="t")).turns
    assert not [event for turn in turns for event in turn.events]


async def test_a_plan_that_needs_consent_runs_no_step_without_a_token(agent: AgentServicer) -> None:
    await refused(agent, request(TRAIN))


async def test_a_token_for_another_plan_runs_no_step(agent: AgentServicer) -> None:
    await refused(agent, request(TRAIN, leave(agent, OTHER)))


async def test_a_token_of_another_conversation_runs_no_step(agent: AgentServicer) -> None:
    await refused(agent, request(TRAIN, leave(agent, TRAIN, "other")))


async def test_an_invented_token_runs_no_step(agent: AgentServicer) -> None:
    await refused(agent, request(TRAIN, "x" * 43))


async def test_an_expired_token_runs_no_step(
    agent: AgentServicer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = leave(agent, TRAIN)
    later = time.time() + consent.LIFETIME + 1
    monkeypatch.setattr(consent.time, "time", lambda: later)
    await refused(agent, request(TRAIN, token))


async def test_a_used_token_runs_no_step(agent: AgentServicer, store: Store) -> None:
    token = leave(agent, TRAIN)
    with store.session() as session:
        consent.spend(session, token, steps_from_json(TRAIN), "t")
    await refused(agent, request(TRAIN, token))


async def test_a_fitting_token_lets_the_plan_begin(agent: AgentServicer) -> None:
    events = [event async for event in agent.Run(request(TRAIN, leave(agent, TRAIN)))]
    assert events[0].started.title == "Retarget resnet18 to 10 classes"
    assert events[-1].failed.reason == "UNREACHABLE"


@pytest.mark.parametrize("action", ["cancel", "resume"])
async def test_cancel_and_resume_need_consent_too(agent: AgentServicer, action: str) -> None:
    await refused(agent, request([{action: {"job": "tune-1-a"}}]))


def test_which_steps_need_consent_is_said_nowhere_else() -> None:
    """No source but the steps themselves lists them."""
    root = Path(__file__).parents[2]
    files = [*(root / "services").rglob("*.py"), *(root / "ui").rglob("*.py")]
    assert len(files) > 100
    needing = {name for name, step in STEPS.items() if step.needs_consent}
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Set | ast.Tuple | ast.List):
                values = {item.value for item in node.elts if isinstance(item, ast.Constant)}
                assert values != needing, file


def test_of_many_that_race_with_one_token_only_one_wins(store: Store) -> None:
    steps = steps_from_json(TRAIN)
    token = consent.grant(store, steps, "t").token

    def spend(_: int) -> bool:
        try:
            with store.session() as session:
                consent.spend(session, token, steps, "t")
        except ConsentNeeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(spend, range(16))) == 1


def test_the_token_itself_is_not_stored(store: Store, tmp_path: Path) -> None:
    token = consent.grant(store, steps_from_json(TRAIN), "t").token
    with sqlite3.connect(tmp_path / "netgraft.db") as database:
        assert database.execute("select count(*) from consents").fetchone() == (1,)
        assert token not in "\n".join(database.iterdump())


def test_leave_for_a_plan_that_cannot_run_is_not_given(agent: AgentServicer) -> None:
    backwards = agent_pb2.Step(finetune=agent_pb2.FinetuneStep(model="$2", data="digits"))
    with pytest.raises(InvalidRequest):
        agent.Consent(agent_pb2.ConsentRequest(steps=[backwards]))
