"""finetune, jobs, status, watch, cancel, resume: the real service over a real database.

Only the training itself is played (tests/player.py); tests/e2e has Ray's processes.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.player import STEPS, Player

from netgraft.cli import failure
from netgraft.cli import follow as following
from netgraft.running import announced
from netgraft.settings import settings
from netgraft.tuning import servicer
from netgraft.tuning.jobs.job import Job

from .conftest import Run
from .server import serving

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))


@pytest.fixture
def player(state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Player]:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.05)
    played = Player()
    yield played
    played.finish()


@pytest.fixture
def address(player: Player, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(launcher=player) as address:
        monkeypatch.setenv("NETGRAFT_ADDRESS", address)
        settings.cache_clear()
        yield address


@pytest.fixture
def start(run: Run, address: str) -> Callable[..., dict[str, Any]]:
    """Start a job and leave it: the job's JSON."""

    def begin(*words: str) -> dict[str, Any]:
        model = ("resnet18@none", "--data", "digits")
        edit = run("retarget", model[0], "--classes", "10", "--json")
        reference = json.loads(edit.stdout)["model"]["id"]
        result = run("finetune", reference, *model[1:], *words, "--detach", "--json")
        assert result.exit_code == 0, result.output
        return dict(json.loads(result.stdout))

    return begin


Start = Callable[..., dict[str, Any]]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_data_that_the_server_may_not_read_says_what_to_do(
    run: Run, player: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("theirs", "mine/flowers/rose"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path / "theirs"))
    monkeypatch.chdir(tmp_path / "mine")
    settings.cache_clear()
    with (
        serving(launcher=player) as address,
        announced(address, "", "test"),
    ):
        result = run("finetune", "resnet18@none", "--data", "flowers", "--detach")
        nothing = run("finetune", "resnet18@none", "--data", "./flwoers", "--detach")
    assert result.exit_code == failure.FAILED
    assert f"'{tmp_path}/mine/flowers' is outside the folders" in result.stderr
    assert "NETGRAFT_DATA_ROOTS" in result.stderr
    assert "There is no data set or folder './flwoers'" in nothing.stderr


def test_a_detached_job_is_returned_with_every_default_filled_in(start: Start) -> None:
    job = start("--epochs", "1", "--lr", "0.01", "--seed", "7")
    assert job["spec"]["epochs"] == 1
    assert job["spec"]["lr"] == 0.01
    assert job["spec"]["seed"] == 7
    # The run chooses the precision: it measures what is fastest.
    assert {"batch_size", "optimizer", "workers", "strategy"} <= set(job["spec"])
    assert job["assumptions"]


def test_how_the_data_are_read_can_be_said_and_is_part_of_the_job(run: Run, start: Start) -> None:
    job = start("--val-share", "0.3", "--kind", "digits", "--augment", "none", "--skip-bad", "0.01")
    assert job["spec"]["options"] == {"kind": "digits", "val_share": 0.3}
    assert (job["spec"]["augment"], job["spec"]["skip_bad"]) == ("none", 0.01)
    assert len(job["spec"]["fingerprint"]) == 64
    shown = run("status", job["id"]).output
    assert "val_share 0.3" in shown
    assert job["spec"]["fingerprint"] not in shown
    model = job["spec"]["model"]
    refused = run("finetune", model, "--data", "digits", "--kind", "coco", "--detach")
    assert refused.exit_code == failure.FAILED
    assert "one of digits, archive, list, table, folder" in refused.stderr


def test_finetune_follows_the_job_to_its_end(run: Run, start: Start, player: Player) -> None:
    model = start()["spec"]["model"]
    player.may_end.set()
    result = run("finetune", model, "--data", "digits")
    assert result.exit_code == 0, result.output
    assert f"step {STEPS}/{STEPS}  epoch 1/1  loss 0.0500  321 images/s" in result.stdout
    assert "epoch 1/1  accuracy 0.95" in result.stdout
    assert newest(player).result_model in result.stdout
    as_json = run("finetune", model, "--data", "digits", "--json")
    job = json.loads(as_json.stdout)
    assert (job["state"], job["result_model"]) == (
        "JOB_STATE_SUCCEEDED",
        newest(player).result_model,
    )


def newest(player: Player) -> Job:
    """The job that was started last, which has left a model."""
    [job] = player.jobs.newest(limit=1)
    assert job.result_model
    return job


def test_a_job_that_fails_ends_with_1_and_says_why(run: Run, start: Start, player: Player) -> None:
    player.fails = True
    job = start()["id"]
    player.may_end.set()
    result = run("watch", job)
    assert result.exit_code == failure.FAILED
    assert "the loss is NaN. (TRAINING_FAILED)" in result.stdout


def test_watch_prints_every_event_once_as_json(run: Run, start: Start, player: Player) -> None:
    job = start()["id"]
    player.may_end.set()
    events = [json.loads(line) for line in run("watch", job, "--json").stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["step"] for event in events if event["kind"] == "KIND_STEP"] == list(
        range(1, STEPS + 1)
    )
    later = run("watch", job, "--json", "--after", "5").stdout.splitlines()
    assert json.loads(later[0])["seq"] == 6


def test_jobs_and_status_show_the_progress_of_a_job(run: Run, start: Start, player: Player) -> None:
    job = start()["id"]
    until(lambda: last_step(player.jobs.get(job)) == STEPS)
    row = next(line for line in run("jobs").stdout.splitlines() if job in line)
    assert "running" in row
    assert f"{STEPS}/{STEPS} (100 %)" in row
    assert "digits" in row
    told = run("status", job).stdout
    assert f"{STEPS}/{STEPS}" in told
    assert json.loads(run("status", job, "--json").stdout)["id"] == job
    listed = json.loads(run("jobs", "--state", "running", "--json").stdout)
    assert [item["id"] for item in listed["jobs"]] == [job]
    assert json.loads(run("jobs", "--state", "failed", "--json").stdout) == {}


def last_step(job: Job) -> int:
    return job.last_event.step if job.last_event else 0


def test_a_cancelled_job_is_resumed(run: Run, start: Start, player: Player) -> None:
    job = start()["id"]
    until(lambda: last_step(player.jobs.get(job)) == STEPS)
    cancelled = json.loads(run("cancel", job, "--json").stdout)
    assert cancelled["state"] == "JOB_STATE_CANCELLED"
    again = run("cancel", job)
    assert (again.exit_code, again.stderr.endswith("(JOB_NOT_RUNNING)\n")) == (1, True)
    assert run("watch", job).exit_code == failure.FAILED
    player.may_end.set()
    resumed = run("resume", job, "--watch")
    assert resumed.exit_code == 0, resumed.output
    assert player.jobs.get(job).result_model in resumed.stdout


def test_a_job_that_is_cancelled_in_the_queue_took_no_time(
    run: Run, start: Start, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servicer, "CANCEL_SECONDS", 0.1)  # there is no run that could end by itself
    player.is_full = True
    job = start()["id"]
    assert run("cancel", job).exit_code == 0
    told = run("status", job).stdout
    assert "cancelled" in told
    assert "took" not in told


@pytest.mark.parametrize("word", ["status", "watch", "cancel", "resume"])
def test_an_unknown_job_is_reported(run: Run, address: str, word: str) -> None:
    result = run(word, "tune-20000101-000000")
    assert result.exit_code == failure.FAILED
    assert result.stderr.endswith("(UNKNOWN_JOB)\n")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--epochs", "0"], "INVALID_VALUE"),
        (["--lr", "-1"], "INVALID_VALUE"),
        (["--batch-size", "0"], "INVALID_VALUE"),
        (["--optimizer", "magic"], "INVALID_VALUE"),
        (["--workers", "99"], "NOT_ENOUGH_WORKERS"),
        (["--device", "gpu"], "NOT_ENOUGH_WORKERS"),
        ([], "HEAD_MISMATCH"),
    ],
)
def test_an_impossible_training_is_reported_before_it_starts(
    run: Run, address: str, words: list[str], reason: str
) -> None:
    result = run("finetune", "resnet18@none", "--data", "digits", *words)
    assert result.exit_code == failure.FAILED
    assert result.stderr.endswith(f"({reason})\n")
    assert json.loads(run("jobs", "--json").stdout) == {}


def test_ctrl_c_leaves_the_job_running_and_says_how_to_go_on(
    start: Start, player: Player, address: str
) -> None:
    job = start()["id"]
    process = subprocess.Popen(
        [NETGRAFT, "watch", job], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    until(lambda: f"step {STEPS}" in process.stdout.readline())  # type: ignore[union-attr]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == failure.INTERRUPTED
    assert said.splitlines() == [
        f"Job {job} keeps running. `netgraft watch {job}` shows it, "
        f"`netgraft cancel {job}` stops it."
    ]
    assert player.jobs.get(job).state == "running"


def test_a_watcher_misses_nothing_while_the_server_restarts(
    run: Run, state: Path, player: Player
) -> None:
    """The follower is in this process, so that the server can be taken from under it."""
    from netgraft.cli.follow import follow
    from netgraft.client import Client

    with serving(launcher=player) as address:
        edit = run("retarget", "resnet18@none", "--classes", "10", "--json", "--server", address)
        model = json.loads(edit.stdout)["model"]["id"]
        words = ("--data", "digits", "--detach", "--json", "--server", address)
        job = json.loads(run("finetune", model, *words).stdout)["id"]
        client = Client(address)
        events = follow(client, job)
        seen = [next(events).seq for _ in range(5)]
    player.may_end.set()
    with serving(launcher=player, port=int(address.rpartition(":")[2])):
        seen += [event.seq for event in events]
    client.close()
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > STEPS
