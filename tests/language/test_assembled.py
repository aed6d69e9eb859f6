"""Texts put together from parts are Chinese in every part: summaries, replies, cards, tables.

The values are not words (m1, a·b), so every English word in a text is one of ours.
"""

import html
import io
import re
from collections.abc import Iterable, Iterator

import pytest
from google.protobuf.message import Message as Protobuf
from rich.console import Console

from netgraft.agent.messages import Messages as RunMessages
from netgraft.agent.rules import messages as planner
from netgraft.cli import checks
from netgraft.cli.terminal import card, progress, view
from netgraft.cli.terminal.language import choose_language
from netgraft.language import LANGUAGES, Translator
from netgraft.models.edits.dropout import Dropout
from netgraft.models.edits.lora import Lora
from netgraft.models.edits.replace import Replace
from netgraft.models.losses.catalogue import LOSSES
from netgraft.surgery.messages import WHY
from netgraft.surgery.messages import Messages as SurgeryMessages
from netgraft.surgery.warm import Warm
from netgraft.ui import chat, figures, panels, plan_card
from netgraft.ui.job import JobView
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

CODE = re.compile(r"`[^`]*`|<[^>]*>|\]\([^)]*\)")
WORD = re.compile(r"[A-Za-z]{2,}")
VALUE = re.compile(r"\b[a-zA-Z]\d\b|\d[\d.,]*\d|\d", re.ASCII)
NAMES = re.compile(
    r"netgraft|resnet\d*|digits|Netron|README|GFLOPs|FLOPs|LoRA|BatchNorm|Dropout|Linear|top-1|"
    r"softmax|focal|logits|one-hot|Huber|gamma|tune-\w+|--[a-z-]+|NETGRAFT_\w+|torchscript|torch|onnx|pt2|"
    r"safetensors|state_dict|python|svg|png|cross_entropy|label_smoothing|bce|mse|l1|"
    r"huber|dice|sgd|adamw?|CPU|\bGB"
)
"""Names of products, formats, layers and losses, which every language writes as they are."""

STATES = tuning_pb2.JobState.values()
KINDS = [field.name for field in agent_pb2.Step.DESCRIPTOR.oneofs_by_name["step"].fields]


def words(text: str) -> list[str]:
    """The English words in a text, apart from code, markup and names."""
    return WORD.findall(NAMES.sub("", CODE.sub("", text)))


def values(text: str) -> list[str]:
    """The values in a text, in no order: numbers, and the names that are no words."""
    shown = re.sub("<[^>]*>", " ", html.unescape(text))
    return sorted(VALUE.findall(shown.replace("one minus", "1 minus")))


def filled(message: Protobuf) -> Protobuf:
    """The message with a value in each of its plain fields."""
    values = {"string": "m1", "int": 3, "float": 0.5}
    for field in message.DESCRIPTOR.fields:
        kind = {field.TYPE_STRING: "string", field.TYPE_DOUBLE: "float"}.get(field.type, "int")
        if field.message_type or field.enum_type:
            continue
        if field.is_repeated:
            getattr(message, field.name).append(values[kind])
        else:
            setattr(message, field.name, values[kind])
    return message


def steps() -> Iterator[agent_pb2.Step]:
    for kind in KINDS:
        step = agent_pb2.Step()
        filled(getattr(step, kind))
        getattr(step, kind).SetInParent()
        yield step


def job(state: "tuning_pb2.JobState.ValueType" = tuning_pb2.JOB_STATE_RUNNING) -> tuning_pb2.Job:
    made = tuning_pb2.Job(id="j1", state=state, result_model="a1", metrics={"accuracy": 0.5})
    filled(made.spec)
    made.last_event.step, made.last_event.total_steps = 3, 10
    made.metrics["loss"] = 0.25
    made.attempt = 2
    made.start_time.FromSeconds(1)
    made.end_time.FromSeconds(60)
    made.create_time.FromSeconds(1)
    return made


def drawn(parts: Iterable[object]) -> str:
    out = io.StringIO()
    console = Console(file=out, width=300, markup=False, highlight=False, emoji=False)
    for part in parts:
        console.print(part)
    return out.getvalue()


@pytest.fixture(autouse=True)
def chinese() -> Iterator[None]:
    choose_language("zh")
    yield
    choose_language("en")


def of_the_agent(language: str) -> Iterator[str]:
    say = RunMessages(language)
    fields = {"model": "m1", "a": "m1", "b": "m2", "layers": ["a.b"], "classes": 3, "data": "d1"}
    more = {"loss": "l1", "input": "p1", "format": "f1", "job": "j1"}
    for kind in KINDS:
        yield say.title(kind, {**fields, **more})
        yield say.title(kind, {})
    for count in (1, 2):
        graph = graph_pb2.Graph(title="m1", top_level_nodes=count, parameters=9)
        yield say.drawn(graph)
        differences = [graph_pb2.ModuleDifference(path="a.b")] * count
        yield say.compared(graph_pb2.GraphDiff(differences=differences))
        entries = [models_pb2.ZooEntry(name="m1", title="t1")] * count
        yield say.found(models_pb2.ListModelsReply(entries=entries, total=20))
    yield say.compared(graph_pb2.GraphDiff())
    yield say.found(models_pb2.ListModelsReply())
    yield say.edited(surgery_pb2.EditReply(summary="s1"))
    yield say.tuned(job())
    yield say.tuned(tuning_pb2.Job(result_model="a1"))
    yield say.stopped(job())
    yield say.jobs([job(state) for state in STATES])
    yield say.jobs([])
    yield say.inspected(surgery_pb2.Inspection(heads=[surgery_pb2.Head(path="f1", type="L1")]))
    yield say.exported(agent_pb2.ExportReady(format="f1", model_id="a1"))


def of_the_planner(language: str) -> Iterator[str]:
    values = {"word": "w1", "slot": "s1", "first": 1, "second": 2, "count": 1, "named": 2}
    for template in (
        *planner.QUESTIONS.values(),
        *planner.REFUSALS.values(),
        *planner.ANSWERS.values(),
        planner.FILE_NAMED,
        planner.DEFAULTS,
    ):
        yield planner.said(template, language, name="n1", value=2.5, **values)


def of_surgery(language: str) -> Iterator[str]:
    say = SurgeryMessages(language)
    kept = [("c1", "c1"), ("c2", "c3")]
    sentences = [
        say.background(1),
        say.background(1000),
        *say.kept(kept, 3, Warm(ambiguous=("c4",))),
        *say.kept(kept[:1], 1, Warm()),
        *say.kept([], 3, Warm(kept=(object(),))),  # type: ignore[arg-type]
        *(line for reason in WHY for line in say.kept([], 3, Warm(reason=reason))),  # type: ignore[arg-type]
        *say.trainable(["a.b"], True, 1, 2, 1),
        *say.trainable(["a.b"], False, 1, 2, 20),
        *(say.loss("l1", loss.says) for loss in LOSSES.values()),
        say.undone("m1"),
        say.replaced(Replace("a.b", "G1", (), "d1"), "R1"),
        *say.adapted(Lora(2, 4.0, 0.0, ("a", "b"), (), "d1"), 1, 2, 2),
        *say.dropped(Dropout(0.5, ("a",), ("b",))),
    ]
    yield from sentences
    yield say.summary(sentences)


def of_the_command_line() -> Iterator[str]:
    yield from map(card.step_line, steps())
    yield from card.card_lines(agent_pb2.PlannerReply(steps=list(steps()), assumptions=["a1"]))
    edit = surgery_pb2.EditReply(heads=[surgery_pb2.HeadChange(path="f1", type="L1")])
    yield drawn(view.edit_view(edit))
    yield drawn(view.inspection_view(surgery_pb2.Inspection(flops=3)))
    rows = [graph_pb2.ModuleRow(calls=2), graph_pb2.ModuleRow(path="a.b", type="L1")]
    yield drawn(view.modules_view(graph_pb2.ModuleTable(rows=rows)))
    kinds = graph_pb2.ModuleDifference.Kind.values()
    differences = [graph_pb2.ModuleDifference(kind=kind) for kind in kinds]
    yield drawn(view.diff_view(graph_pb2.GraphDiff(differences=differences)))
    yield drawn(view.diff_view(graph_pb2.GraphDiff()))
    entries = [models_pb2.ZooEntry(name="m1")]
    yield drawn(view.models_view(models_pb2.ListModelsReply(entries=entries, total=2)))
    yield drawn(view.models_view(models_pb2.ListModelsReply()))
    yield drawn(view.jobs_view(tuning_pb2.ListJobsReply(jobs=[job(state) for state in STATES])))
    yield drawn(view.jobs_view(tuning_pb2.ListJobsReply()))
    yield drawn(view.job_view(job()))
    event = JobEvent(kind=JobEvent.KIND_EPOCH, epoch=1, total_epochs=2, loss=0.5)
    event.images_per_second, event.eta_seconds, event.step, event.total_steps = 9, 70, 1, 2
    yield progress.lasting_line(event)
    out = io.StringIO()
    shown = progress.LineView(Console(file=out, width=300), "j1")
    event.kind = JobEvent.KIND_STEP
    shown.add(event)
    yield out.getvalue()
    for finding in (checks.gpu({}), checks.torch({}), checks.disk(), checks.weights({})):
        yield f"{finding.message} {finding.advice.removeprefix(checks.INSTALL_SERVICES)}"


def of_the_page(language: str) -> Iterator[str]:
    say = Translator(language)
    plan = agent_pb2.PlannerReply(steps=list(steps()), assumptions=["a1"])
    yield plan_card.plan_card(plan, say)
    event = JobEvent(kind=JobEvent.KIND_STEP, step=1, total_steps=2, epoch=1, total_epochs=2)
    event.images_per_second, event.eta_seconds = 9, 70
    running = JobView("j1", tuning_pb2.JOB_STATE_RUNNING, progress=event)
    for job_view in (None, running):
        yield panels.progress(job_view, say)
    for state in STATES:
        yield panels.job_state(JobView("j1", state, metrics={"accuracy": 0.5}), say)
        yield panels.job_state(JobView("j1", state, reachable=False), say)
    yield panels.picture("", say)
    yield from chat.edit_lines(surgery_pb2.EditReply(summary="s1", parameters_before=5), say)
    yield from (figures.duration(seconds, say) for seconds in (5, 70, 7000))


@pytest.mark.parametrize("part", [of_the_agent, of_the_planner, of_surgery, of_the_page])
def test_what_services_and_the_page_say_is_chinese_in_every_part(part: object) -> None:
    texts = [text for text in part("zh") if words(text)]  # type: ignore[operator]
    assert {text: words(text) for text in texts} == {}


def test_what_the_command_line_prints_is_chinese_in_every_part() -> None:
    assert {text: words(text) for text in of_the_command_line() if words(text)} == {}


@pytest.mark.parametrize("part", [of_the_agent, of_the_planner, of_surgery, of_the_page])
def test_both_languages_say_as_much(part: object) -> None:
    said = [list(map(values, part(language))) for language in LANGUAGES]  # type: ignore[operator]
    assert said[0] == said[1]


def test_one_is_not_several() -> None:
    one, two = (list(of_the_agent("en")), list(of_surgery("en")))
    assert "m1: 1 box at the top level, 9 parameters (0 train)." in one
    assert "m1: 2 boxes at the top level, 9 parameters (0 train)." in one
    assert "1 module differs; 0 parameters against 0." in one
    assert "1 class and the background" in two
    assert "1,000 classes and the background" in two
    assert "1 of 1 classes keeps its weights (c1)" in two


@pytest.mark.parametrize(
    "planted", ["1,000 classes 和背景", "损失函数：focal（easy 样本）", "状态 running"]
)
def test_a_planted_word_is_found(planted: str) -> None:
    assert words(planted)
