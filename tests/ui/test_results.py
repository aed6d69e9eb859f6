"""The results page of a job: its curves, its tables, and what it shows of hostile names."""

import asyncio
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from netgraft.client import AsyncClient
from netgraft.language import Translator
from netgraft.tuning.data import open_data
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.results import tensorboard
from netgraft.tuning.results.shown import heldout
from netgraft.ui.gateway import application
from netgraft.ui.results.charts import Line, axis, chart
from netgraft.ui.results.gather import Gathered
from netgraft.ui.results.history import History
from netgraft.ui.results.page import sections
from netgraft.v1 import surgery_pb2, tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

from .conftest import NAME, TOKEN, Server

ENGLISH, CHINESE = Translator("en"), Translator("zh")
HOSTILE = "\"><img src=x onerror=alert(1)>'&"


def step(seq: int, number: int, loss: float, attempt: int = 1) -> JobEvent:
    return JobEvent(
        seq=seq, kind=JobEvent.KIND_STEP, step=number, loss=loss, lr=0.1, attempt=attempt
    )


def epoch(seq: int, number: int, accuracy: float, attempt: int = 1) -> JobEvent:
    metrics = {"held_back_accuracy": accuracy, "held_back_loss": 1 - accuracy}
    return JobEvent(
        seq=seq, kind=JobEvent.KIND_EPOCH, step=number, metrics=metrics, attempt=attempt
    )


def gathered(names: list[str], **facts: Any) -> Gathered:
    """Results on these classes, each taken for the next one once."""
    classes = [
        tuning_pb2.ClassFigures(name=name, pictures=2, recall=0.5, precision=0.5, f1=0.5)
        for name in names
    ]
    size, confusion = len(names), [0] * len(names) ** 2
    for row in range(size):
        confusion[row * size + row] += 1
        confusion[row * size + (row + 1) % size] += 1
    mistakes = [
        tuning_pb2.Mistake(file=f"{name}/1.png", truth=name, said=names[0], probability=0.9)
        for name in names[1:]
    ]
    confused = [tuning_pb2.Confused(truth=each, said=names[0], pictures=1) for each in names[1:]]
    evaluation = tuning_pb2.Evaluation(
        pictures=2 * size, correct=size, classes=classes, mistakes=mistakes, confusion=confusion
    )
    job = tuning_pb2.Job(
        id="tune-1",
        state=tuning_pb2.JOB_STATE_SUCCEEDED,
        spec=tuning_pb2.TuningSpec(data=f"/srv/secret place/{names[0]}"),
        metrics={"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6, "majority": 0.1},
        result_model="a" * 64,
    )
    results = tuning_pb2.Results(
        job="tune-1",
        model="a" * 64,
        evaluation=evaluation,
        sizes={"fit": 8, "held_back": 2, "held_out": 2 * size},
        data_hash="d" * 64,
        confused=confused,
    )
    return Gathered(job, facts.get("history", History()), results, facts.get("title", "net"))


def test_steps_that_an_attempt_repeats_replace_those_of_the_one_before() -> None:
    history = History()
    history.add([step(1, 1, 3.0), step(2, 2, 2.0), epoch(3, 2, 0.5), step(4, 3, 9.0)])
    history.add([step(5, 2, 2.5, attempt=2), epoch(6, 2, 0.6, attempt=2)])
    assert history.training == {1: 3.0, 2: 2.5}
    assert history.measured("accuracy") == [(2, 0.6)]


def test_a_chart_has_round_numbers_and_leaves_out_what_is_no_number() -> None:
    assert axis([0.13, 0.97]).ticks == pytest.approx((0, 0.5, 1))
    assert axis([3, 3]).low < 3 < axis([3, 3]).high
    line = Line("loss", "training", [(1, 2.0), (2, math.nan), (3, math.inf), (4, 1.0)])
    drawn = chart("Loss", "Step", [line, Line("nothing", "held-back", [(1, math.nan)])])
    [points] = re.findall(r'points="(.*?)"', drawn)
    assert len(points.split()) == 2
    assert "nan" not in drawn
    assert "nothing" not in drawn
    assert chart("Loss", "Step", []) == ""


def test_curves_show_the_probe_as_a_level_line_and_every_epoch_in_numbers() -> None:
    history = History()
    probe = JobEvent(seq=1, kind=JobEvent.KIND_MODEL, metrics={"held_back_accuracy": 0.8})
    history.add([probe, step(2, 1, 2.0), step(3, 2, 1.0), epoch(4, 2, 0.7), epoch(5, 4, 0.9)])
    page = sections(gathered(["a", "b"], history=history), ENGLISH)
    assert len(re.findall('<polyline class="probe"', page)) == 1
    assert len(re.findall('<circle class="held-back"', page)) == 4  # of accuracy and of loss
    assert "<td>70.0 %</td>" in page
    assert "There are no curves" not in page


def test_a_run_whose_result_is_the_probe_says_why_it_has_no_curves() -> None:
    history = History()
    history.add([JobEvent(seq=1, kind=JobEvent.KIND_MODEL, message="A first model is ready.")])
    page = sections(gathered(["a", "b"], history=history), ENGLISH)
    assert "There are no curves: the result is the probe" in page
    assert "A first model is ready." in page
    assert "<svg" not in page


def test_figures_stand_beside_what_they_mean() -> None:
    page = sections(gathered(["a", "b"]), ENGLISH)
    for text in ("50.0 %", "40.0 % to 60.0 %", "largest class: 10.0 %", "2 of 4 held-out"):
        assert text in page, text
    assert "/jobs/tune-1/pictures?truth=a&amp;said=b" in page
    assert 'href="/viz/' in page
    assert f'href="/export/{"a" * 64}/card"' in page


@pytest.mark.parametrize("say", [ENGLISH, CHINESE])
def test_names_from_elsewhere_stay_text_and_the_servers_folders_stay_its_own(
    say: Translator,
) -> None:
    seen = gathered([HOSTILE, "b"], title=HOSTILE)
    seen.job.error_message = seen.job.id = HOSTILE
    seen.job.assumptions.append(HOSTILE)
    seen.history.add([JobEvent(seq=1, kind=JobEvent.KIND_NOTE, message=HOSTILE)])
    page = sections(seen, say)
    assert "<img src=x" not in page
    assert not re.search(r"=\"[^\"]*'&[^a#]", page)
    assert page.count("&lt;img src=x onerror") >= 8
    assert "secret place" not in page


def test_of_many_classes_the_most_confused_come_first() -> None:
    page = sections(gathered([f"class {number}" for number in range(60)]), ENGLISH)
    assert '<table class="confusion"' not in page
    assert "class 1 taken for class 0: 1 ×" in page
    assert page.count("data-pictures") == 60 + 50  # classes, and the pairs


def test_the_page_is_chinese_as_a_whole() -> None:
    page = sections(gathered(["甲", "乙"]), CHINESE)
    words = re.sub(r"<[^>]*>|&\w+;", " ", re.sub(r"<(a|code|dd)\b.*?</\1>", " ", page))
    assert set(re.findall(r"[A-Za-z]{3,}", words)) <= {"net", "SHA", "png"}


def test_a_forecast_stands_beside_what_came_of_it() -> None:
    seen = gathered(["a", "b"])
    assert "Forecast" not in sections(seen, ENGLISH)
    ranges = {
        "seconds": tuning_pb2.Range(low=50, high=130),
        "accuracy": tuning_pb2.Range(low=0.4, high=0.7),
    }
    seen.job.forecast.MergeFrom(tuning_pb2.Forecast(because=["9 earlier runs"], **ranges))
    seen.job.create_time.FromSeconds(1000)
    seen.job.end_time.FromSeconds(1070)
    page = sections(seen, ENGLISH)
    for text in ("50 s to 2 min 10 s", "40.0 % to 70.0 %", "1 min 10 s", "9 earlier runs"):
        assert text in page, text


def test_findings_about_the_data_name_their_files() -> None:
    found = tuning_pb2.Finding(kind="duplicate", severity="warning", files=[HOSTILE])
    history = History()
    history.add([JobEvent(seq=1, kind=JobEvent.KIND_NOTE, message="Copies.", finding=found)])
    page = sections(gathered(["a", "b"], history=history), ENGLISH)
    assert page.count("Copies.") == 1
    assert '<span class="warning">Copies.</span>' in page
    assert "/picture?file=%22%3E%3Cimg" in page
    assert "<img src=x" not in page


# With the services


in_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def friend(shared: Server) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with a session."""
    app = application()
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        site = "http://127.0.0.1:7860"
        async with httpx.AsyncClient(transport=transport, base_url=site) as client:
            await client.get("/", params={"token": TOKEN})
            yield client


async def finished(server: Server) -> str:
    """A job on the digits that has ended, with its model's answers."""
    client = AsyncClient()
    edit = surgery_pb2.RetargetModelRequest(model=NAME, classes=10)
    model = (await client.surgery.RetargetModel(edit)).model.id
    spec = tuning_pb2.TuningSpec(model=model, data="digits")
    server.player.may_end.set()
    job = await client.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    async for _ in client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
        pass
    ended = await client.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    await client.close()
    await asyncio.to_thread(keep_answers, server, ended)
    return str(job.id)


def keep_answers(server: Server, job: tuning_pb2.Job) -> None:
    """Keep answers of the job's model to ten digits: every second one is taken for a zero."""
    digits = open_data("digits")
    held_out = digits.indices("held_out")[:10]
    truths = [digits.labels[picture] for picture in held_out]
    figures = dict.fromkeys(
        ("accuracy_low", "accuracy_high", "majority", "balanced_accuracy", "macro_f1",
         "calibration_error", "loss"), 0.5,
    )  # fmt: skip
    found = heldout.HeldOut(
        job=job.id,
        data="digits",
        data_hash="d" * 64,
        class_names=digits.class_names,
        sizes={"fit": 1, "held_out": 10},
        metrics={"accuracy": 0.5, **figures},
        names=[digits.names[picture] for picture in held_out],
        truths=truths,
        said=[truth if place % 2 else 0 for place, truth in enumerate(truths)],
        probabilities=[0.9] * 10,
    )
    heldout.keep(server.player.store, job.result_model, found)


@in_one_loop
async def test_the_page_its_cells_and_its_pictures_are_served(
    shared: Server, friend: httpx.AsyncClient
) -> None:
    job = await finished(shared)
    page = await friend.get(f"/jobs/{job}")
    assert page.status_code == 200
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    assert "digits" in page.text
    cell = re.search(r'href="(/jobs/[^"]*/pictures\?truth=[^"]*)"', page.text)
    assert cell
    shown = await friend.get(cell[1].replace("&amp;", "&"))
    picture = re.search(r'src="(/jobs/[^"]*/picture\?file=[^"]*)"', shown.text)
    assert picture
    found = await friend.get(picture[1].replace("&amp;", "&"))
    assert found.headers["content-type"] == "image/jpeg"
    assert found.content[:2] == b"\xff\xd8"
    assert (await friend.get(f"/jobs/{job}/picture?file=../token")).status_code == 404
    for name in ("results.css", "results.js"):
        assert (await friend.get(f"/results/{name}")).status_code == 200
    assert (await friend.get("/results/endpoints.py")).status_code == 404
    assert (await friend.get("/jobs/nobody")).status_code == 404
    assert (await friend.get("/jobs/a%20b")).status_code == 404
    chinese = await friend.get(f"/jobs/{job}", headers={"accept-language": "zh"})
    assert "各类别" in chinese.text


@in_one_loop
async def test_tensorboard_is_started_when_it_is_asked_and_shows_the_runs(
    shared: Server, friend: httpx.AsyncClient
) -> None:
    board = tensorboard.Board("tune-1", 0)
    board.write(Event(Kind.STEP, step=1, loss=2.0, lr=0.1))
    board.close()
    page = await friend.get("/tensorboard/")
    assert page.status_code == 200
    assert "<tb-webapp" in page.text
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    for _ in range(100):
        if tags := (await friend.get("/tensorboard/data/plugin/scalars/tags")).json():
            break
        await asyncio.sleep(0.1)
    assert "train/loss" in tags["tune-1/tensorboard"]
    environment = (await friend.get("/tensorboard/data/environment")).json()
    assert environment["data_location"] == "runs"  # and no path of this machine
    assert (await friend.get("/tensorboard/.x")).status_code == 404
    assert (await friend.get("/tensorboard/nothing")).status_code == 404
    posted = await friend.post("/tensorboard/data/x", content=b"x" * (2**20 + 1))
    assert posted.status_code == 413
    assert Path(tensorboard.runs()).is_dir()
