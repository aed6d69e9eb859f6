"""Forecasts: what a run keeps, what is expected of the next one, and what a pilot may do."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.data import open_data
from netgraft.tuning.forecast import making
from netgraft.tuning.forecast.draws import Chance, range_of
from netgraft.tuning.forecast.expecting import Known, forecast
from netgraft.tuning.forecast.forecast import PROBED, START, kept
from netgraft.tuning.forecast.history import Past, past_runs
from netgraft.tuning.forecast.measuring import MEASURED, nearest_means, sample
from netgraft.tuning.forecast.sentences import price_of, summary
from netgraft.tuning.forecast.speeds import Measured, Speed, speeds_of
from netgraft.tuning.forecast.timings import Stopwatch, part, timed
from netgraft.tuning.forecast.work import Work, saved_for
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request, Spec
from netgraft.tuning.servicer import TuningServicer
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2, tuning_pb2

ALONE = Group(0, 1, torch.device("cpu"))
ONE = {piece: Speed(seconds, 0.05) for piece, seconds in
       {"read": 1e-3, "forward": 2e-3, "step": 1e-2, "ask": 3e-3}.items()}  # fmt: skip


def work(**said: object) -> Work:
    usual = {
        "network": "resnet18", "strategy": "auto", "device": "cpu", "optimizer": "adamw",
        "side": 64, "batch": 32, "workers": 1, "flops": 3e8, "parameters": 11_000_000,
        "features": 512, "pictures": 500, "bytes": 5_000_000, "fit": 340, "held_back": 60,
        "held_out": 100, "classes": 4, "epochs": 10, "patience": 3, "probes": True,
        "trains": True, "seen": False, "data": "d" * 64,
    }  # fmt: skip
    return Work(**(usual | said))  # type: ignore[arg-type]


def past(**said: object) -> Past:
    done = work(**said)
    parts = {"read": (0.55, 1), "features": (0.4, 1), "steps": (40.0, 10), "rest": (1.0, 1)}
    return Past(done, parts, seconds=60.0, epochs=10, accuracy=0.9, probed=(330, 400))


@pytest.fixture(autouse=True)
def one_thread(state: Path) -> None:
    """Few threads, because tests run side by side; a state folder of its own."""
    torch.set_num_threads(1)


@pytest.fixture
def model(store: Store) -> Recipe:
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    return get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)


def spec_for(store: Store, model: Recipe, **said: object) -> Spec:
    usual = {"epochs": 1, "image_size": 16, "batch_size": 64, "workers": 1, "precision": "fp32"}
    request = Request(model.id, "digits", **(usual | said))  # type: ignore[arg-type]
    return planning.plan(request, Capacity(2, 0), store).spec


def job_for(store: Store, spec: Spec) -> Job:
    job = Jobs(store).create(planning.ResolvedSpec(spec))
    making.keep_first(spec, saved_for(spec, store), job.id, store)
    return job


# A run and the next one


def test_a_run_is_forecast_and_its_outcome_serves_the_next_forecast(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    spec = replace(spec_for(store, model), strategy="auto")  # as with pretrained weights
    before = making.by_earlier_runs(spec, store)[2]
    job = job_for(store, spec)
    run(job.id, ALONE, store)
    done = jobs.get(job.id)
    first, second = kept(done.forecast, START), kept(done.forecast, PROBED)
    assert first == before and second is not None and second.accuracy is not None
    # The probe tells the accuracy; the time that is left is known better than the whole was.
    assert second.accuracy.high - second.accuracy.low < first.accuracy.high - first.accuracy.low
    assert second.epochs.low == second.epochs.high == 1
    (ran,) = past_runs(store)
    assert ran.parts.keys() >= {"start", "read", "build", "form", "features", "head", "answers",
                                "pilot", "settle", "steps", "measure", "rest"}  # fmt: skip
    assert sum(seconds for seconds, _ in ran.parts.values()) == pytest.approx(ran.seconds, rel=0.02)
    # Asking takes so little of what comes with storing that a fast machine does not show it.
    assert ran.speeds.keys() >= {"read", "forward", "step"}
    assert ran.accuracy == done.metrics["accuracy"] and ran.epochs == 1
    again = making.by_earlier_runs(spec, store)[2]
    assert again.seconds.high / again.seconds.low < before.seconds.high / before.seconds.low
    assert again.accuracy is not None and ran.accuracy in again.accuracy


def test_the_rpc_tells_first_what_is_known_and_then_what_was_measured(
    store: Store, model: Recipe
) -> None:
    given = tuning_pb2.TuningSpec(model=model.id, data="digits", image_size=16, precision="fp32")
    models, tensors = rows(store), files(store, "tensors")
    replies = list(TuningServicer(store).Forecast(tuning_pb2.ForecastRequest(spec=given)))
    assert [(each.done, each.total) for each in replies] == [(at, 4) for at in range(5)]
    first, last = replies[0].forecast, replies[-1].forecast
    assert last.seconds.high / last.seconds.low < first.seconds.high / first.seconds.low
    assert any("measured on" in line for line in last.because)
    assert not any("measured on" in line for line in first.because)
    assert replies[-1].spec.epochs and replies[-1].assumptions
    assert not last.HasField("cost") and not last.currency and last.cpu_hours.middle > 0
    assert (rows(store), files(store, "tensors")) == (models, tensors), "a model was stored"
    # What was measured serves whoever asks again, and the job that is started.
    again = list(TuningServicer(store).Forecast(tuning_pb2.ForecastRequest(spec=given)))
    assert [each.forecast for each in again] == [last]


def test_a_quick_forecast_measures_nothing(store: Store, model: Recipe) -> None:
    given = tuning_pb2.TuningSpec(model=model.id, data="digits", image_size=16)
    request = tuning_pb2.ForecastRequest(spec=given, quick=True)
    (reply,) = TuningServicer(store).Forecast(request)
    assert reply.forecast.summary.startswith("forecast (90 %): ")
    assert not files(store, MEASURED.kind)


def rows(store: Store) -> int:
    from netgraft.store.tables import RecipeRow

    return len(store.newest_rows(RecipeRow.created > 0, 1000))


def files(store: Store, kind: str) -> list[str]:
    return store.names(kind)


# Time


def test_a_stopwatch_counts_what_is_within_a_part_there_alone() -> None:
    with timed() as watch:
        with part("outer"), part("inner"):
            pass
        with part("inner"):
            pass
    assert watch.times == {"inner": 2, "outer": 1}
    with part("alone"):  # where no run is under way, nothing is timed
        pass
    assert "alone" not in watch.seconds
    assert Stopwatch().seconds == {}


def test_more_work_takes_longer_and_what_is_known_makes_it_narrow() -> None:
    usual = forecast(work(patience=0), ONE, []).seconds
    longer = forecast(work(patience=0, epochs=20), ONE, []).seconds
    assert longer.middle > 1.5 * usual.middle
    vague = {piece: Speed(each.seconds, 0.6) for piece, each in ONE.items()}
    wide = forecast(work(patience=0), vague, []).seconds
    assert wide.high / wide.low > 1.5 * usual.high / usual.low


def test_a_run_that_may_stop_early_has_epochs_that_are_not_known() -> None:
    found = forecast(work(), ONE, [])
    assert found.epochs.low < found.epochs.high <= 10
    assert found.seconds.high / found.seconds.low > 1.5
    sure = forecast(work(), ONE, [], known=Known((399, 400), trains=False, elapsed=5.0))
    assert sure.epochs.high == 0 and sure.seconds.high < 7.0


@pytest.mark.parametrize("piece", ["read", "forward", "step", "ask"])
def test_what_ran_here_before_is_known_better_than_what_did_not(piece: str) -> None:
    same = speeds_of(work(), [past()] * 3)[piece]
    near = speeds_of(work(network="resnet50", data="e" * 64), [past()] * 3)[piece]
    never = speeds_of(work(), [])[piece]
    measured = speeds_of(work(), [past()], Measured({piece: 0.5}, 32))[piece]
    if piece == "ask":  # these runs do not tell
        assert same == never
    else:
        assert same.deviation < near.deviation <= never.deviation
    assert measured.deviation < never.deviation and measured.seconds == pytest.approx(0.5, rel=0.2)


# Accuracy


def test_accuracy_is_wide_without_and_narrow_with_a_probe() -> None:
    nothing = forecast(work(), ONE, []).accuracy
    few = Measured({}, 192, right=170, compared=190)
    means = forecast(work(), ONE, [], measured=few).accuracy
    known = Known((372, 400), trains=False, elapsed=1.0)
    probed = forecast(work(held_out=400), ONE, [], known=known).accuracy
    assert nothing and means and probed
    widths = [each.high - each.low for each in (nothing, means, probed)]
    assert widths == sorted(widths, reverse=True) and widths[2] < 0.1
    assert 0.93 in probed and 0.85 not in probed


def test_means_of_classes_that_lie_apart_are_nearest() -> None:
    labels_N = torch.arange(60) % 3
    features_NF = torch.nn.functional.one_hot(labels_N, 8).float() + 0.01 * torch.randn(60, 8)
    assert nearest_means(features_NF, labels_N) == (60, 60)
    right, of = nearest_means(torch.randn(60, 8), labels_N)
    assert of == 60 and right < 45
    assert nearest_means(features_NF[:6], labels_N[:6]) == (0, 0)


def test_a_sample_has_all_classes_alike(store: Store) -> None:
    data = open_data("digits")
    chosen = sample(data, 50)
    assert np.bincount([data.labels[index] for index in chosen]).tolist() == [5] * 10
    assert chosen == sample(data, 50) and {data.parts[index] for index in chosen} == {"train"}


def test_the_same_facts_give_the_same_draws() -> None:
    first, second = Chance(), Chance()
    assert (first.normal() == second.normal()).all()
    found = range_of(Chance().around(10.0, 0.1))
    assert found.low < 9 < found.middle < 11 < found.high and 10.0 in found


# Sentences


def test_money_is_claimed_only_where_there_is_a_price(
    monkeypatch: pytest.MonkeyPatch, store: Store, model: Recipe
) -> None:
    spec = spec_for(store, model)
    found = forecast(work(), ONE, [])
    assert price_of(found, spec).cost is None and "USD" not in str(summary(found, spec))
    monkeypatch.setenv("NETGRAFT_PRICE_CPU_HOUR", "0.5")
    settings.cache_clear()
    price = price_of(found, spec)
    assert price.cost == price.cpu_hours.times(0.5) and "USD" in str(summary(found, spec))


def test_a_forecast_is_kept_as_json(store: Store) -> None:
    found = forecast(work(), ONE, [past()])
    text = json.dumps({START: found.plain()})
    assert kept(text, START) == found and kept(text, PROBED) is None and kept("", START) is None
