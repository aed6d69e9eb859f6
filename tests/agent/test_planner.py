"""Another planner in place of the rules: a table of regular expressions, served over gRPC."""

import ast
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

import netgraft.agent.planner
from netgraft.agent import plan_batch
from netgraft.agent.planner import Context, Reply
from netgraft.agent.rules import default_planner
from netgraft.agent.servicer import AgentServicer
from netgraft.agent.steps import Finetune, Inspect, Retarget, Steps
from netgraft.client import AsyncClient
from netgraft.serving.servicers import expose
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.v1 import agent_pb2, agent_pb2_grpc

PLANNER = Path(netgraft.agent.planner.__file__)
TABLE = (
    (r"look at (?P<model>\w+)", lambda said: (Inspect(model=said["model"]),)),
    (
        r"(?P<model>\w+) for (?P<classes>\d+) kinds, taught by (?P<data>\w+)",
        lambda said: (
            Retarget(model=said["model"], classes=int(said["classes"])),
            Finetune(model="$1", data=said["data"]),
        ),
    ),
)


class TablePlanner:
    """Understands the sentences in its table, and asks for what a "look" lacks."""

    def plan(self, text: str, context: Context) -> tuple[Reply, Context]:
        if context.question and "look" in context.question:
            text = f"look at {text}"
        for pattern, steps in TABLE:
            if found := re.fullmatch(pattern, text):
                made: Steps = steps(found)
                return Reply("plan", made), Context(made, language="en")
        if text == "look":
            asked = Context(context.steps, {"look": True}, "en")
            return Reply("clarify", question="At what?", options=("resnet18",)), asked
        return Reply("answer", text=f"{len(context.steps)} steps so far."), context


@pytest.fixture
async def client(store: Store, state: object) -> AsyncIterator[AsyncClient]:
    """A client of an agent that plans by a table."""
    settings().make_token()
    servicer = expose(AgentServicer, agent_pb2.DESCRIPTOR.services_by_name["Agent"])
    server = grpc.aio.server()
    agent_pb2_grpc.add_AgentServicer_to_server(servicer(store, TablePlanner()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with AsyncClient(f"127.0.0.1:{port}") as client:
        yield client
    await server.stop(None)


def said(text: str) -> agent_pb2.PlanRequest:
    return agent_pb2.PlanRequest(text=text, conversation_id="talk")


async def test_its_plans_are_the_contracts(client: AsyncClient) -> None:
    reply = await client.agent.Plan(said("resnet18 for 3 kinds, taught by digits"))
    assert reply.kind == "plan"
    assert reply.steps[0].retarget.classes == 3
    assert reply.steps[1].finetune.model == "$1"
    assert list(reply.needs_consent) == [2]
    request = agent_pb2.ConsentRequest(steps=reply.steps, conversation_id="talk")
    assert (await client.agent.Consent(request)).token


async def test_its_question_stays_open_until_the_next_turn(client: AsyncClient) -> None:
    asked = await client.agent.Plan(said("look"))
    assert (asked.kind, asked.question, list(asked.options)) == (
        "clarify",
        "At what?",
        ["resnet18"],
    )
    reply = await client.agent.Plan(said("resnet18"))
    assert reply.steps[0].inspect.model == "resnet18"
    assert (await client.agent.Plan(said("resnet18"))).kind == "answer"


async def test_it_is_given_the_last_plan(client: AsyncClient) -> None:
    await client.agent.Plan(said("resnet18 for 3 kinds, taught by digits"))
    assert (await client.agent.Plan(said("hello"))).text == "2 steps so far."
    assert (await client.agent.Plan(said("well?"))).text == "2 steps so far."


def test_the_rules_go_on_where_another_planner_asked(store: Store) -> None:
    """Its question means nothing to them: none is open."""
    AgentServicer(store, TablePlanner()).Plan(said("resnet18 for 3 kinds, taught by digits"))
    AgentServicer(store, TablePlanner()).Plan(said("look"))
    steps = AgentServicer(store).Plan(said("no, 5 classes")).steps
    assert steps[0].retarget.classes == 5


def test_another_planner_goes_on_where_the_rules_asked(store: Store) -> None:
    assert AgentServicer(store).Plan(said("retarget resnet50")).kind == "clarify"
    assert AgentServicer(store, TablePlanner()).Plan(said("10")).text == "0 steps so far."


def test_a_question_of_the_rules_survives_as_json() -> None:
    """Every kind of value that an item can hold, there and back."""
    planner = default_planner()
    for first, answer in (
        ("show mobilenetv3, retarget to 10 classes", "mobilenet_v3_small"),
        ("fine-tune resnet50 for 2 epochs with lr 1e-3 to classes: cat, dog", "digits"),
        ("把resnet50微调两轮", "digits"),
        ("retarget resnet18", "12"),
    ):
        _, context = planner.plan(first, Context())
        question = json.loads(json.dumps(context.question))
        stored = Context(context.steps, question, context.language)
        assert stored.question is not None
        assert planner.plan(answer, stored) == planner.plan(answer, context)
        assert planner.plan(answer, stored)[0].kind == "plan"


def test_a_planner_needs_no_protobuf_and_no_database() -> None:
    """The sources of the protocol and of the rules import neither, nor what speaks gRPC."""
    files = [PLANNER, PLANNER.with_name("steps.py"), *PLANNER.with_name("rules").glob("*.py")]
    assert len(files) > 10
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                assert not name.startswith(("netgraft.v1", "google", "grpc")), file
                assert not name.startswith(("netgraft.store", "sqlalchemy")), file


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"planner": "rules/0"},
        {"planner": "rules/1"},
        {"planner": "rules/1", "items": 3, "slot": "", "position": 0, "replaces": 1, "options": []},
        {"planner": "rules/1", "items": [{}], "slot": "model", "position": 0, "replaces": True,
         "options": []},
        {"planner": "rules/1", "items": [], "slot": "hat", "position": 0, "replaces": True,
         "options": []},
    ],
    ids=str,
)  # fmt: skip
def test_a_question_that_cannot_be_read_is_not_open(question: dict[str, object]) -> None:
    planner = default_planner()
    assert planner.plan("10", Context((), question)) == planner.plan("10", Context())


@pytest.mark.parametrize(
    ("turns", "step"),
    [
        (["show mobilenetv3", "2"], {"show": {"model": "mobilenet_v3_small"}}),
        (["show mobilenetv3", "the second one"], {"show": {"model": "mobilenet_v3_small"}}),
        (["展示mobilenetv3", "第二个"], {"show": {"model": "mobilenet_v3_small"}}),
        (["export resnet50", "2."], {"export": {"model": "resnet50", "format": "pt2"}}),
        (["resnet50", "option 1"], {"show": {"model": "resnet50"}}),
        (["retarget resnet50", "2"], {"retarget": {"model": "resnet50", "classes": 2}}),
        (["retarget resnet50", "3"], {"retarget": {"model": "resnet50", "classes": 3}}),
    ],
)
def test_a_number_is_an_option_unless_a_number_was_asked_for(
    turns: list[str], step: dict[str, object]
) -> None:
    assert plan_batch(turns)["steps"] == [step]


def test_a_number_that_is_no_option_chooses_none() -> None:
    assert plan_batch(["show mobilenetv3", "9"])["kind"] == "clarify"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("show resnet50 with random weights", "resnet50@none"),
        ("show the randomly initialized resnet50", "resnet50@none"),
        ("用随机权重展示resnet50", "resnet50@none"),
        ("展示随机初始化的resnet50", "resnet50@none"),
    ],
)
def test_random_weights_are_part_of_the_models_name(text: str, model: str) -> None:
    assert plan_batch([text])["steps"] == [{"show": {"model": model}}]


@pytest.mark.parametrize(
    "text",
    [
        "compare resnet18 and resnet34 with random weights",
        "show resnet50 without random weights",
        "show it with random weights",
    ],
)
def test_whose_weights_are_random_is_not_guessed(text: str) -> None:
    assert plan_batch([text])["kind"] == "clarify"
