"""What a run finds wrong with its data: events with the files, and figures without leaks."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.servicer import TuningServicer, event_message
from netgraft.tuning.train.features import Extractor
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2, tuning_pb2

ALONE = Group(0, 1, torch.device("cpu"))
COLOURS = {"blue": (40, 60, 190), "red": (190, 60, 40)}
LEAKED = 3
"""Held-out pictures that are copies of training pictures."""


@pytest.fixture
def folder(state: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Noise around two colours; some of it is held out as well, and one picture is mislabelled."""
    torch.set_num_threads(1)
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    generator = np.random.default_rng(0)
    for part, number in (("train", 14), ("val", 6)):
        for name, colour in COLOURS.items():
            place = tmp_path / "paint" / part / name
            place.mkdir(parents=True)
            for index in range(number):
                pixels = generator.normal(colour, 40, (24, 24, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{index:02d}.png")
    paint = tmp_path / "paint"
    for index in range(LEAKED):
        shutil.copy(paint / f"train/red/{index:02d}.png", paint / f"val/red/{index:02d}.png")
    (paint / "train/blue/13.png").rename(paint / "train/red/wrong.png")
    return paint


@pytest.fixture
def model(store: Store) -> Recipe:
    request = surgery_pb2.RetargetModelRequest(
        model="timm/test_resnet@none", class_names=list(COLOURS)
    )
    return get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)


def probed(store: Store, model: Recipe, **said: Any) -> Job:
    usual = {"strategy": "probe", "image_size": 32, "workers": 1, "threads": 1}
    request = Request(model.id, "paint", **(usual | said))
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    run(job.id, ALONE, store)
    done = Jobs(store).get(job.id)
    assert done.state is State.SUCCEEDED
    return done


def test_what_is_wrong_with_the_data_is_an_event_with_the_files(
    store: Store, model: Recipe, folder: Path
) -> None:
    job = probed(store, model)
    events = [event_message(event) for event in Jobs(store).events_after(job.id, 0)[1]]
    found = {event.finding.kind: event for event in events if event.HasField("finding")}
    across = found["duplicate_across"]
    assert across.finding.severity == "warning"
    assert list(across.finding.files) == [f"val/red/{index:02d}.png" for index in range(LEAKED)]
    assert across.message == across.finding.sentence
    assert across.message.startswith("3 pictures that measure are also trained on")
    assert "train/red/wrong.png" in found["wrong_labels"].finding.files
    first_model = next(event.seq for event in events if event.model)
    assert found["wrong_labels"].seq < first_model


def test_the_figure_without_leaks_stands_beside_the_plain_one(
    store: Store, model: Recipe, folder: Path
) -> None:
    job = probed(store, model)
    assert job.metrics["leaked"] == pytest.approx(LEAKED / 12)
    request = tuning_pb2.EvaluateRequest(model=job.result_model)
    *_, last = TuningServicer(store).Evaluate(request)
    found = last.evaluation
    assert (found.pictures, found.leaked) == (12, LEAKED)
    for name in ("accuracy", "accuracy_without_leaks", "accuracy_without_leaks_low"):
        assert getattr(found, name) == job.metrics[name]
    leaked_right = found.accuracy * 12 - found.accuracy_without_leaks * (12 - LEAKED)
    assert leaked_right == pytest.approx(round(leaked_right))
    assert 0 <= leaked_right <= LEAKED


def test_without_leaks_nothing_is_said_of_them(store: Store, model: Recipe, folder: Path) -> None:
    for index in range(LEAKED):
        (folder / f"val/red/{index:02d}.png").unlink()
    job = probed(store, model)
    assert not [name for name in job.metrics if "leak" in name]


def test_an_attempt_that_follows_reports_only_what_has_not_been(
    store: Store, model: Recipe, folder: Path
) -> None:
    request = Request(model.id, "paint", strategy="probe", image_size=32, workers=1, threads=1)
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    for _ in range(2):  # the first attempt dies before it has begun to report
        Jobs(store).begin(job.id)
    run(job.id, ALONE, store)
    kinds = [event.finding.get("kind") for event in Jobs(store).events_after(job.id, 0)[1]]
    assert kinds.count("duplicate_across") == 1


def test_features_are_computed_once_for_all_jobs_on_the_same_data(
    store: Store, model: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = probed(store, model, features="fp32 channels_last folded")
    forward = Extractor.__call__

    def none(*_: object) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(Extractor, "__call__", none)
    second = probed(store, model, features=first.spec.features)
    assert second.metrics == first.metrics
    assert tensors(store, second) == tensors(store, first)
    monkeypatch.setattr(Extractor, "__call__", forward)
    path = folder / "train/red/00.png"
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(path)
    assert probed(store, model).state is State.SUCCEEDED  # other contents: computed anew


def tensors(store: Store, job: Job) -> str:
    edit: Any = get_recipe(store, job.result_model).edits[-1]
    return str(edit.tensors)
