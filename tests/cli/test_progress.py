"""A job's events as people see them: a bar on a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from netgraft.cli.leaving import leave_job
from netgraft.cli.services import InProcessServices
from netgraft.cli.session import Session
from netgraft.cli.terminal import progress
from netgraft.cli.terminal.language import choose_language
from netgraft.cli.terminal.run import JsonView, TextView, show_events
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

Event = tuning_pb2.JobEvent


@pytest.fixture(autouse=True)
def english() -> None:
    choose_language("en")


def paper(*, terminal: bool = False) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    console = Console(
        file=text, force_terminal=terminal, width=200, markup=False, highlight=False, emoji=False
    )
    return console, text


def state(value: "tuning_pb2.JobState", message: str = "") -> Event:
    return Event(kind=Event.KIND_STATE, state=value, message=message)


def step(number: int) -> Event:
    return Event(
        kind=Event.KIND_STEP,
        step=number,
        total_steps=46,
        epoch=1 + (number > 23),
        total_epochs=2,
        loss=1 / number,
        images_per_second=312.4,
        eta_seconds=46.0 - number,
    )


EVENTS = [
    state(tuning_pb2.JOB_STATE_QUEUED),
    state(tuning_pb2.JOB_STATE_RUNNING),
    *(step(number) for number in range(1, 47)),
    Event(
        kind=Event.KIND_EPOCH,
        epoch=2,
        total_epochs=2,
        step=46,
        total_steps=46,
        loss=0.25,
        metrics={"accuracy": 0.9527},
    ),
    Event(kind=Event.KIND_NOTE, message="[a note] with brackets"),
    Event(kind=Event.KIND_CHECKPOINT, step=46, total_steps=46),
    state(tuning_pb2.JOB_STATE_SUCCEEDED),
]


def test_without_a_terminal_a_job_prints_a_few_lines() -> None:
    out, text = paper()
    with progress.job_view(out, "tune-1") as view:
        for event in EVENTS:
            view.add(event)
    lines = text.getvalue().splitlines()
    assert lines == [
        "tune-1 queued",
        "tune-1 running",
        "step 1/46  epoch 1/2  loss 1.0000  312.4 images/s  left 45.0 s",
        "step 46/46  epoch 2/2  loss 0.0217  312.4 images/s",
        "epoch 2/2  accuracy 0.9527, loss 0.25",
        "[a note] with brackets",
        "tune-1 succeeded",
    ]


def test_steps_are_reported_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    out, text = paper()
    clock = iter([0.0, 4.0, 11.0, 12.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    view = progress.LineView(out, "tune-1")
    for number in (1, 2, 3, 4):
        view.add(step(number))
    assert [line.split()[1] for line in text.getvalue().splitlines()] == ["1/46", "3/46"]


def test_on_a_terminal_a_job_shows_a_bar_with_loss_and_images_per_second() -> None:
    out, text = paper(terminal=True)
    with progress.job_view(out, "tune-1") as view:
        for event in EVENTS:
            view.add(event)
    shown = text.getvalue()
    assert "100%" in shown
    assert "loss 0.0217  312.4 images/s" in shown
    assert "epoch 2/2  accuracy 0.9527, loss 0.25" in shown


def story() -> list[agent_pb2.RunEvent]:
    """The events of the agent's run: show, retarget, fine-tune."""
    show = agent_pb2.Step(show=agent_pb2.ShowStep(model="resnet18"))
    edit = surgery_pb2.EditReply(model=models_pb2.Model(id="b" * 64))
    grafted = "fc: Linear(512 → 1000) → Linear(512 → 10)\nrandom weights: no network"
    job = tuning_pb2.Job(id="tune-1", metrics={"accuracy": 0.95}, result_model="c" * 64)
    return [
        agent_pb2.RunEvent(started={"index": 1, "total": 3, "step": show, "title": "Show it"}),
        agent_pb2.RunEvent(
            finished=agent_pb2.StepFinished(
                index=1,
                summary="resnet18 is drawn",
                seconds=0.5,
                model_id="a" * 64,
                graph=graph_pb2.Graph(model_id="a" * 64, page="/viz/a/"),
            )
        ),
        agent_pb2.RunEvent(
            finished=agent_pb2.StepFinished(index=2, summary=grafted, model_id="b" * 64, edit=edit)
        ),
        *(
            agent_pb2.RunEvent(progress={"index": 3, "job_id": "tune-1", "event": event})
            for event in EVENTS
        ),
        agent_pb2.RunEvent(
            finished=agent_pb2.StepFinished(index=3, summary="tuned", model_id="c" * 64, job=job)
        ),
    ]


def left(job: str) -> str:
    """What is said where the server outlives the command."""
    return leave_job(Session(), InProcessServices(), job)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_plan_is_reported_step_by_step(terminal: bool) -> None:
    out, text = paper(terminal=terminal)
    outcome = show_events(story(), TextView(out, lambda page: f"http://here{page}"), left)
    shown = text.getvalue()
    for line in (
        "▸ 1/3 Show it",
        "✓ resnet18 is drawn (0.5 s)",
        "http://here/viz/a/",
        "✓ fc: Linear(512 → 1000) → Linear(512 → 10)",
        "\n  random weights: no network\n",
        "epoch 2/2",
        f"  accuracy 0.95\n  model {'c' * 64}\n",
    ):
        assert line in shown
    assert (outcome.finished, outcome.failure) == (3, None)
    assert outcome.pages == ["/viz/a/", f"/viz/{'b' * 64}/", f"/viz/{'c' * 64}/"]
    assert outcome.job is not None
    assert outcome.job.result_model == outcome.model_id == "c" * 64


def test_a_failed_step_is_reported_and_kept() -> None:
    out, text = paper()
    failed = agent_pb2.StepFailed(index=1, reason="UNKNOWN_MODEL", message="There is no model.")
    outcome = show_events([agent_pb2.RunEvent(failed=failed)], TextView(out, str), left)
    assert text.getvalue() == "✗ There is no model. (UNKNOWN_MODEL)\n"
    assert outcome.failure == failed


def test_for_programs_each_event_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    from google.protobuf.json_format import Parse

    show_events(story(), JsonView(), left)
    lines = capsys.readouterr().out.splitlines()
    assert [Parse(line, agent_pb2.RunEvent()) for line in lines] == story()


def test_ctrl_c_says_that_the_job_keeps_running(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted():  # type: ignore[no-untyped-def]
        yield from story()[:5]
        raise KeyboardInterrupt

    out, _ = paper()
    with pytest.raises(KeyboardInterrupt):
        show_events(interrupted(), TextView(out, str), left)
    assert capsys.readouterr().err == (
        "Job tune-1 keeps running. `netgraft watch tune-1` shows it, "
        "`netgraft cancel tune-1` stops it.\n"
    )
