"""How far a run goes: ceilings, more epochs, and what it says of its course."""

import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from netgraft.errors import InvalidValue, JobNotResumable, NotPossible, TrainingFailed
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import ceilings, planning
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.resuming import Resumption
from netgraft.tuning.jobs.spec import CONVERGED, Request, ResolvedSpec
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.diagnosis import Unsound, unsound
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.workers import remarks
from netgraft.tuning.workers.ceiling import Ceiling, Costs, steps_that_fit
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2

ALONE = Group(0, 1, torch.device("cpu"))
PER_EPOCH = 19
"""Steps of an epoch of digits in batches of 64."""


@pytest.fixture
def model(store: Store, state: Path) -> Recipe:
    torch.set_num_threads(1)
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=10)
    return get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)


def job_for(store: Store, model: Recipe, **said: object) -> Job:
    usual = {"epochs": 1, "image_size": 16, "batch_size": 64, "workers": 1, "precision": "fp32"}
    request = Request(model.id, "digits", **(usual | said))  # type: ignore[arg-type]
    return Jobs(store).create(planning.plan(request, Capacity(2, 0), store))


def story(jobs: Jobs, job: Job) -> list[Event]:
    events: list[Event] = []
    while found := jobs.events_after(job.id, len(events))[1]:
        events += found
    return events


def notes(jobs: Jobs, job: Job) -> str:
    return "\n".join(str(e.message) for e in story(jobs, job) if e.kind is Kind.NOTE)


COSTS = Costs(step=1.0, measuring=5.0, end=10.0)


@pytest.mark.parametrize(
    ("seconds", "taken", "fits"),
    [
        (5.0, 0, 0),  # not even for the end
        (16.0, 0, 1),  # one step, its measurement, the end
        (34.9, 0, 19),
        (35.0, 0, 20),  # a whole epoch of 20
        (46.0, 0, 26),  # and more steps, which are measured, too
        (61.0, 15, 5 + 20 + 11),
    ],
)
def test_steps_leave_time_for_measuring_and_storing(seconds: float, taken: int, fits: int) -> None:
    assert steps_that_fit(seconds, COSTS, 20, taken) == fits


def test_a_plan_is_changed_where_that_is_worth_it() -> None:
    ceiling = Ceiling(ends=time.time() + 100, span=100.0)

    def plan(fits: int, *, again: bool = True, between: bool = False) -> int:
        return ceiling.plan(100, 200, 300, fits, again=again, between=between)

    assert plan(50, again=False) == 150
    assert plan(500, again=False) == 200, "there is time for all of it"
    assert plan(98) == 200, "not for a difference in the noise"
    assert plan(80) == 180
    assert plan(150) == 200, "longer only between epochs"
    assert plan(150, between=True) == 250
    assert plan(500, between=True) == 300, "not beyond what was asked for"
    assert plan(0) == 100, "there is no time left"


def test_a_schedule_begins_anew_where_it_is_told_to() -> None:
    first, second = Schedule(1.0, 2, 20), Schedule(1.0, 2, 40, first_step=20)
    assert [second.rate(20 + step) for step in range(20)] == [first.rate(s) for s in range(20)]


def test_a_ceiling_ends_a_run_with_its_best_model_and_it_can_be_resumed(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    job = job_for(store, model, epochs=5000, max_minutes=0.1, lr=0.004)
    run(job.id, ALONE, store)
    done = jobs.get(job.id)
    assert done.state is State.SUCCEEDED
    assert done.ended is not None
    assert done.ended - done.created < 8, "six seconds were agreed upon"
    assert get_recipe(store, done.result_model).metrics == done.metrics
    assert "by its ceiling of 0.1 minutes" in notes(jobs, job)
    left = done.resolved.resumed.left
    assert left > 0
    last = checkpoint.newest(store, job.id)
    assert last is not None
    again = jobs.resume(job.id)
    assert again.resolved.resumed.epochs == left
    run(job.id, ALONE, store)
    longer = jobs.get(job.id)
    assert longer.state is State.SUCCEEDED
    later = [e.step for e in story(jobs, job) if e.kind is Kind.STEP and e.attempt == 2]
    assert min(later) > last["learner"]["steps"]


def test_a_ceiling_that_is_passed_before_the_first_step_is_said(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    job = job_for(store, model, max_minutes=0.0001)
    with pytest.raises(TrainingFailed, match="ceiling was reached before the first step"):
        run(job.id, ALONE, store)


def test_a_job_that_succeeded_goes_on_for_more_epochs(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    job = job_for(store, model, epochs=2)
    run(job.id, ALONE, store)
    first = jobs.get(job.id)
    assert first.state is State.SUCCEEDED
    kept = checkpoint.newest(store, job.id)
    assert kept is not None
    files = [path.suffix for path in (Path(store.root) / "runs" / job.id).glob("0*")]
    assert sorted(files) == [".best", ".ckpt"], "no more than it takes to go on"
    with pytest.raises(JobNotResumable, match="--epochs 5"):
        jobs.resume(job.id)
    again = jobs.resume(job.id, asked=Resumption(epochs=3))
    assert (again.state, again.attempt, again.result_model) == (State.QUEUED, 2, "")
    run(job.id, ALONE, store)
    done = jobs.get(job.id)
    assert (done.state, done.spec.epochs) == (State.SUCCEEDED, 5)
    assert f"its model so far stays: {first.result_model[:12]}" in notes(jobs, job)
    assert "goes on from step 38 for 3 more epochs" in notes(jobs, job)
    epochs = [event for event in story(jobs, job) if event.kind is Kind.EPOCH]
    assert [(e.attempt, e.epoch, e.step) for e in epochs] == [
        *((1, 1, 19), (1, 2, 38)),
        *((2, 3, 57), (2, 4, 76), (2, 5, 95)),
    ]
    rates = {e.step: e.lr for e in story(jobs, job) if e.kind is Kind.STEP}
    assert rates[max(s for s in rates if s <= 38)] < max(lr for s, lr in rates.items() if s > 38)


def test_a_run_that_was_lost_keeps_to_the_plan_that_was_recorded(
    store: Store, jobs: Jobs, model: Recipe
) -> None:
    job = job_for(store, model)
    run(job.id, ALONE, store)
    since = jobs.resume(job.id, asked=Resumption(epochs=3)).resolved.resumed.since
    last = checkpoint.newest(store, job.id)
    assert last is not None
    plan = {"since": since, "restarts": 1, "first_step": 19, "total_steps": 30}
    decisions = last["decisions"] | plan
    checkpoint.save(store, job.id, 20, last | {"decisions": decisions})  # the newest by its name
    run(job.id, ALONE, store)
    events = [event for event in story(jobs, job) if event.attempt == 2]
    assert [e.step for e in events if e.kind is Kind.EPOCH] == [30]
    rates = [e.lr for e in events if e.kind is Kind.STEP]
    assert all(e.total_steps == 30 for e in events if e.kind is Kind.STEP)
    assert rates[0] == jobs.get(job.id).spec.lr


def test_what_a_resumption_asks_for_is_checked(
    jobs: Jobs, resolved: ResolvedSpec, state: Path
) -> None:
    job = jobs.create(resolved)
    jobs.end(job.id, State.CANCELLED)
    for wrong in (
        Resumption(epochs=0),
        Resumption(max_minutes=-1.0),
        Resumption(max_minutes=float("nan")),
        Resumption(skip_bad=2.0),
    ):
        with pytest.raises(InvalidValue):
            jobs.resume(job.id, asked=wrong)
    with pytest.raises(NotPossible, match="NETGRAFT_PRICE_CPU_HOUR"):
        jobs.resume(job.id, asked=Resumption(max_cost=2.0))
    again = jobs.resume(job.id, asked=Resumption(skip_bad=0.1, max_minutes=5.0, epochs=4))
    assert (again.spec.skip_bad, again.spec.max_minutes, again.spec.patience) == (0.1, 5.0, 0)
    assert again.resolved.resumed.times == 1
    assert jobs.get(job.id).resolved == again.resolved


def test_a_converged_head_is_not_trained_further(jobs: Jobs, resolved: ResolvedSpec) -> None:
    spec = replace(resolved.spec, optimizer=CONVERGED)
    job = jobs.create(replace(resolved, spec=spec))
    jobs.end(job.id, State.CANCELLED)
    with pytest.raises(NotPossible, match="has converged"):
        jobs.resume(job.id, asked=Resumption(epochs=1))


def test_money_is_time_by_a_price_and_the_places_that_a_job_holds(
    store: Store, model: Recipe, resolved: ResolvedSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotPossible, match="NETGRAFT_PRICE_CPU_HOUR"):
        job_for(store, model, max_cost=2.0)
    monkeypatch.setenv("NETGRAFT_PRICE_CPU_HOUR", "0.5")
    monkeypatch.setenv("NETGRAFT_PRICE_GPU_HOUR", "4")
    settings.cache_clear()
    assert job_for(store, model, max_cost=2.0).spec.max_cost == 2.0
    spec = replace(resolved.spec, workers=2, threads=4, max_cost=2.0)
    assert ceilings.seconds(spec) == 2.0 / (0.5 * 8) * 3600
    assert ceilings.seconds(replace(spec, device="gpu")) == 2.0 / (4 * 2) * 3600
    assert ceilings.seconds(replace(spec, max_minutes=1.0)) == 60
    assert ceilings.seconds(replace(spec, max_cost=0.0)) is None


def test_over_fitting_and_standing_still_are_said_once() -> None:
    falling = [(1.0 - 0.1 * epoch, 0.5 + 0.05 * epoch) for epoch in range(5)]
    assert remarks.of_curve(falling, []) is None
    rising = [*falling, (0.7, 0.7), (0.8, 0.7), (0.9, 0.7)]
    found = remarks.of_curve(rising, [])
    assert found is not None
    assert "has risen from 0.600 after epoch 5 to 0.900" in str(found[1])
    assert remarks.of_curve(rising, [found[0]]) is None
    still = [*falling, *[(0.6, 0.7)] * remarks.STANDING]
    found = remarks.of_curve(still, [])
    assert found is not None
    assert "have brought nothing on held-back pictures (70.0%)" in str(found[1])
    assert remarks.of_curve(still, [found[0]]) is None


class Sick(nn.Module):
    """Two layers, of which something is no number."""

    def __init__(self, part: str) -> None:
        super().__init__()
        self.part = part
        self.first, self.second = nn.Linear(2, 2), nn.Linear(2, 1)
        if part == "weights":
            nn.init.constant_(self.second.weight, torch.nan)
        if part == "output":
            nn.init.constant_(self.first.weight, 3e38)

    def forward(self, x_NF: torch.Tensor) -> torch.Tensor:
        y_NF = self.first(x_NF)
        if self.part == "gradient":
            y_NF = (y_NF * 0).sqrt()  # whose slope at 0 is infinite
        return self.second(y_NF)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("part", "layer"),
    [("weights", "second"), ("output", "first"), ("gradient", "first"), ("input", "")],
)
def test_what_was_the_first_to_be_no_number_is_found(part: str, layer: str) -> None:
    module = Sick(part)
    x_NF = torch.full((3, 2), torch.inf if part == "input" else 9.0)
    assert unsound(module, x_NF, lambda: module(x_NF).sum()) == Unsound(part, layer)  # type: ignore[arg-type]


def test_of_a_sound_step_nothing_is_found() -> None:
    module = Sick("")
    x_NF = torch.ones(3, 2)
    assert unsound(module, x_NF, lambda: module(x_NF).sum()) is None
    assert unsound(module, x_NF, lambda: module(x_NF).sum() * torch.nan) == Unsound("loss")
