"""Plans carried out against the real services, served by a real gRPC server in this process."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from PIL import Image

from netgraft.agent.forms import steps_from_json, steps_to_proto
from netgraft.agent.servicer import AgentServicer
from netgraft.graph.servicer import GraphsServicer
from netgraft.library.servicer import ModelsServicer
from netgraft.serving.servicers import expose
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.servicer import TuningServicer
from netgraft.v1 import (
    agent_pb2,
    graph_pb2,
    graph_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    surgery_pb2,
    surgery_pb2_grpc,
    tuning_pb2,
    tuning_pb2_grpc,
)

SERVICES = (
    (ModelsServicer, models_pb2, "Models", models_pb2_grpc.add_ModelsServicer_to_server),
    (GraphsServicer, graph_pb2, "Graphs", graph_pb2_grpc.add_GraphsServicer_to_server),
    (SurgeryServicer, surgery_pb2, "Surgery", surgery_pb2_grpc.add_SurgeryServicer_to_server),
    (TuningServicer, tuning_pb2, "Tuning", tuning_pb2_grpc.add_TuningServicer_to_server),
)


@pytest.fixture
async def agent(store: Store, state: Path) -> AsyncIterator[AgentServicer]:
    settings().make_token()
    server = grpc.aio.server()
    for servicer, module, name, add in SERVICES:
        routable = expose(servicer, module.DESCRIPTOR.services_by_name[name])
        add(routable(store), server)  # type: ignore[operator]
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield AgentServicer(store, address=f"127.0.0.1:{port}")
    await server.stop(None)


async def run(
    agent: AgentServicer, steps: list[dict[str, Any]], talk: str = "talk"
) -> list[agent_pb2.RunEvent]:
    request = agent_pb2.RunRequest(
        steps=steps_to_proto(steps_from_json(steps)),
        conversation_id=talk,
        weights=models_pb2.WEIGHTS_POLICY_NONE,
    )
    return [event async for event in agent.Run(request)]


async def test_a_plan_is_carried_out_step_by_step_and_told(agent: AgentServicer) -> None:
    text = "show resnet18, retarget to 10 classes"
    plan = agent.Plan(agent_pb2.PlanRequest(text=text, conversation_id="talk"))
    request = agent_pb2.RunRequest(
        steps=plan.steps, conversation_id="talk", weights=models_pb2.WEIGHTS_POLICY_NONE
    )
    events = [event async for event in agent.Run(request)]
    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["started", "progress", "finished", "started", "finished"]
    early, shown, edited = events[1].progress, events[2].finished, events[4].finished
    assert early.page == shown.graph.page, "the page can be opened while the graph is drawn"
    assert shown.graph.page == f"/viz/{shown.graph.model_id}/"
    assert "random weights" in shown.summary
    assert "fc: Linear(512 → 1000) → Linear(512 → 10)" in edited.summary
    assert edited.model_id == edited.edit.model.id
    talk = agent.GetConversation(agent_pb2.GetConversationRequest(id="talk"))
    assert talk.model_id == edited.edit.model.id
    assert [turn.text for turn in talk.turns] == [text]
    assert list(talk.turns[0].events) == [event for event in events if event != events[1]]


async def test_a_conversation_is_told_of_a_models_weights_once(agent: AgentServicer) -> None:
    plans = [
        [{"show": {"model": "squeezenet1_1"}}],
        [{"retarget": {"classes": 3}}],
        [{"show": {"model": "squeezenet1_1"}}],
    ]
    texts = [(await run(agent, plan))[-1].finished.summary for plan in plans]
    assert ["starts from random weights" in text for text in texts] == [
        True,
        False,
        False,
    ]
    elsewhere = (await run(agent, plans[0], "another"))[-1].finished.summary
    assert "starts from random weights" in elsewhere


async def test_a_step_takes_the_model_of_the_step_that_it_names(agent: AgentServicer) -> None:
    events = await run(
        agent,
        [
            {"retarget": {"model": "squeezenet1_1", "classes": 7}},
            {"freeze": {"model": "$1", "layers": ["backbone"]}},
            {"undo": {"model": "$2"}},
            {"export": {"model": "$3", "format": "onnx"}},
        ],
    )
    finished = [event.finished for event in events if event.HasField("finished")]
    assert len(finished) == 4
    retargeted, _, undone, exported = finished
    assert undone.edit.model.id == retargeted.edit.model.id
    assert exported.export.page == f"/export/{retargeted.edit.model.id}/onnx"


async def test_a_picture_is_drawn_before_it_is_offered(agent: AgentServicer, store: Store) -> None:
    plan = [{"export": {"model": "squeezenet1_1", "format": "svg"}}]
    finished = (await run(agent, plan))[-1].finished
    assert finished.export.page == f"/viz/{finished.model_id}/graph.svg"
    assert store.names("pictures") != []


async def test_a_step_without_a_model_takes_the_current_one(agent: AgentServicer) -> None:
    first = (await run(agent, [{"retarget": {"model": "squeezenet1_1", "classes": 3}}]))[-1]
    second = (await run(agent, [{"inspect": {}}]))[-1]
    assert second.finished.inspection.model.id == first.finished.model_id
    assert second.finished.inspection.model.classes == 3


async def test_a_step_without_a_model_asks_when_there_is_none(agent: AgentServicer) -> None:
    last = (await run(agent, [{"show": {}}], "fresh"))[-1]
    assert (last.failed.index, last.failed.reason) == (1, "NOTHING_CURRENT")


async def test_a_job_step_asks_when_there_is_no_job(agent: AgentServicer) -> None:
    last = (await run(agent, [{"status": {}}], "fresh"))[-1]
    assert last.failed.reason == "NOTHING_CURRENT"


async def test_after_a_step_that_fails_no_later_one_begins(agent: AgentServicer) -> None:
    events = await run(
        agent, [{"retarget": {"model": "squeezenet1_1", "classes": 0}}, {"show": {"model": "$1"}}]
    )
    assert [event.WhichOneof("event") for event in events] == ["started", "failed"]
    assert events[-1].failed.reason == "INVALID_CLASSES"


async def test_an_unknown_model_is_told_with_its_reason(agent: AgentServicer) -> None:
    last = (await run(agent, [{"show": {"model": "resnet500"}}]))[-1]
    assert last.failed.reason == "UNKNOWN_MODEL"
    assert "resnet500" in last.failed.message


async def test_a_model_is_evaluated_and_asked_about_pictures(
    agent: AgentServicer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for number in range(5):
            picture = Image.new("RGB", (20, 24), (40 * number, 90, 200))
            picture.save(tmp_path / "pets" / label / f"{number}.png")
    (tmp_path / "pets" / "dog" / "5.png").write_bytes(b"no picture")
    tiny = {"model": "timm/test_resnet", "class_names": ["dog", "cat"]}
    steps = [
        {"retarget": tiny},
        {"evaluate": {"model": "$1", "data": "pets", "split": "all"}},
    ]
    failed = (await run(agent, steps))[-1].failed
    assert "5.png is not a picture" in failed.message
    steps[1:] = [{"predict": {"model": "$1", "input": "pets"}}]
    events = await run(agent, steps)
    predictions = events[-1].finished.predictions
    assert (predictions.total, predictions.unreadable) == (11, 1)
    assert events[-1].finished.summary == "10 pictures were predicted. 1 could not be read."
    assert [event.progress.done for event in events if event.HasField("progress")][-1] == 11
    seen = [each for each in predictions.pictures if not each.error]
    assert {each.classes[0].name for each in seen} <= {"dog", "cat"}
    assert all(each.thumbnail for each in seen)
    (tmp_path / "pets" / "dog" / "5.png").unlink()
    steps[1:] = [{"evaluate": {"model": "$1", "data": "pets"}}]
    finished = (await run(agent, steps))[-1].finished
    assert [each.name for each in finished.evaluation.classes] == ["cat", "dog"]
    assert finished.evaluation.pictures == 2
    assert finished.summary.startswith(f"Accuracy {100 * finished.evaluation.accuracy:.1f} % on 2")


async def test_models_are_searched_and_compared(agent: AgentServicer) -> None:
    events = await run(
        agent,
        [
            {"list_models": {"query": "squeezenet"}},
            {"compare": {"a": "squeezenet1_0", "b": "squeezenet1_1"}},
        ],
    )
    listed, compared = (event.finished for event in events if event.HasField("finished"))
    assert listed.models.total >= 2
    assert "squeezenet1_1" in listed.summary
    assert compared.diff.differences
