"""Runs of one machine: whose turn it is, and what becomes of the place of a run that is lost."""

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netgraft.serving.forks.forks import Forks
from netgraft.serving.local.runs import Run, Runs

SECONDS = 60.0
"""Of a busy machine."""


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks(["torch", "tests.serving.patient"])
    yield made
    made.end()


@pytest.fixture
def ended() -> list[str]:
    """Submissions that have ended."""
    return []


@pytest.fixture
def runs(forks: Forks, ended: list[str]) -> Iterator[Runs]:
    made = Runs(forks, "tests.serving.patient:work", lambda run: ended.append(run.submission))
    yield made
    for submission in made.living():
        made.signal(submission, signal.SIGKILL)
    assert made.wait(SECONDS)


def wait_for(what: str, holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def run(folder: Path, submission: str) -> Run:
    """A run that needs all cores; its job is what stands before the number."""
    job = submission.partition("-")[0]
    return Run(job, submission, ranks=1, device="cpu", folder=folder / submission)


def begun(folder: Path, submission: str) -> Callable[[], bool]:
    return (folder / submission / "begun").exists


def test_first_come_first_served(runs: Runs, ended: list[str], tmp_path: Path) -> None:
    for submission in ("one", "two", "three"):
        runs.start(run(tmp_path, submission))
    wait_for("the first", begun(tmp_path, "one"))
    assert not begun(tmp_path, "two")()
    (tmp_path / "one" / "end").touch()
    wait_for("the second", begun(tmp_path, "two"))
    assert ended == ["one"]
    runs.signal("three", signal.SIGKILL)
    wait_for("its end", lambda: ended == ["one", "three"])
    assert not begun(tmp_path, "three")()


def test_what_goes_on_from_a_lost_run_has_its_place(
    runs: Runs, ended: list[str], tmp_path: Path
) -> None:
    runs.start(lost := run(tmp_path, "one"))
    runs.start(run(tmp_path, "two"))
    wait_for("the first", begun(tmp_path, "one"))
    lost.processes.signal(signal.SIGKILL)
    wait_for("its end", lambda: ended == ["one"])
    assert runs.living() == ["two"]
    runs.signal("one", signal.SIGKILL)  # to be sure that it has ended
    runs.start(run(tmp_path, "one-2"))
    assert runs.living() == ["one-2", "two"]
    wait_for("its next attempt", begun(tmp_path, "one-2"))
    assert not begun(tmp_path, "two")()


def test_a_place_that_is_given_up_is_free(runs: Runs, ended: list[str], tmp_path: Path) -> None:
    runs.start(lost := run(tmp_path, "one"))
    runs.start(run(tmp_path, "two"))
    wait_for("the first", begun(tmp_path, "one"))
    lost.processes.signal(signal.SIGKILL)
    wait_for("its end", lambda: ended == ["one"])
    runs.release("one")
    wait_for("the second", begun(tmp_path, "two"))
