"""A job as the gateway gathers it."""

from netgraft.language import Translator
from netgraft.ui import panels
from netgraft.ui.job import MOST_POINTS, JobView
from netgraft.v1 import tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

ENGLISH = Translator("en")


def step(seq: int, number: int, loss: float, total: int = 100) -> JobEvent:
    return JobEvent(seq=seq, kind=JobEvent.KIND_STEP, step=number, total_steps=total, loss=loss)


def test_an_event_that_comes_twice_counts_once() -> None:
    view = JobView("j")
    for event in (step(1, 1, 2.0), step(2, 2, 1.0), step(2, 2, 9.0), step(1, 1, 9.0)):
        view.add(event)
    assert view.training == {1: 2.0, 2: 1.0}
    assert view.seq == 2


def test_steps_that_are_repeated_after_a_restart_replace_their_points() -> None:
    view = JobView("j")
    for seq, number in enumerate([1, 2, 3, 2, 3, 4], 1):
        view.add(step(seq, number, 1.0 / seq))
    assert sorted(view.training) == [1, 2, 3, 4]
    assert view.training[2] == 1.0 / 4
    assert view.share == 0.04


def test_a_long_run_keeps_its_shape_in_bounded_space() -> None:
    view = JobView("j")
    total = 50_000
    for number in range(1, total + 1):
        view.add(step(number, number, 1.0 / number, total))
    assert len(view.training) <= 2 * MOST_POINTS
    drawn = panels.curve(view, ENGLISH)
    assert drawn is not None
    assert len(drawn["data"]) <= panels.MOST_DRAWN + 2
    losses = [loss for _, loss, _ in drawn["data"] if loss is not None]
    assert losses == sorted(losses, reverse=True)


def test_a_finished_job_is_full_whatever_its_last_step_was() -> None:
    view = JobView("j")
    view.add(step(1, 10, 1.0))
    view.update(tuning_pb2.Job(state=tuning_pb2.JOB_STATE_SUCCEEDED, result_model="c" * 64))
    assert view.share == 1.0
    assert 'aria-valuenow="100"' in panels.progress(view, ENGLISH)
    assert not panels.can_cancel(view)


def test_what_a_job_says_is_shown_as_text() -> None:
    view = JobView("j")
    view.add(JobEvent(seq=1, kind=JobEvent.KIND_NOTE, message="<img src=x onerror=alert(1)>"))
    view.error = "<b>bad</b>"
    html = panels.job_state(view, ENGLISH)
    assert "<img" not in html
    assert "<b>bad" not in html
