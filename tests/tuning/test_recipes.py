"""The values chosen where the request has none, and that they work."""

from pathlib import Path

import pytest
import torch

from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train.strategies import Facts
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.prepare import step_config
from netgraft.v1 import surgery_pb2


def facts(**changed: object) -> Facts:
    usual = {
        "examples": 1437,
        "classes": 10,
        "pretrained": True,
        "batch_norm": True,
        "gpu": False,
        "workers": 2,
    }
    return Facts(**(usual | changed))


def test_a_pretrained_network_is_probed_first_and_a_random_one_trained_whole() -> None:
    assert TASK.defaults(facts(examples=80)).strategy == "auto"
    assert TASK.defaults(facts()).strategy == "auto"
    assert TASK.defaults(facts(examples=80, pretrained=False)).strategy == "full"
    assert TASK.defaults(facts(probes=False)).strategy == "full"
    assert TASK.defaults(facts(examples=80), strategy="full").strategy == "full"
    assert TASK.defaults(facts(), strategy="probe").strategy == "probe"


def test_what_follows_a_probe_moves_little_and_stops_when_it_brings_nothing() -> None:
    chosen = TASK.defaults(facts())
    assert chosen.lr < TASK.defaults(facts(), strategy="full").lr
    assert 0 < chosen.patience < chosen.epochs
    assert TASK.defaults(facts(), strategy="full").patience == 0


def test_adapters_are_what_trains_however_few_the_pictures() -> None:
    chosen = TASK.defaults(facts(examples=80, adapters=True))
    assert chosen.strategy == "full"
    assert "LoRA" in chosen.because["strategy"]
    assert TASK.defaults(facts(examples=80, adapters=True), strategy="probe").strategy == "probe"


def test_networks_without_batch_norm_learn_more_slowly() -> None:
    assert TASK.defaults(facts(batch_norm=False)).lr < TASK.defaults(facts()).lr


def test_each_optimizer_has_a_rate_of_its_own() -> None:
    assert TASK.defaults(facts(), optimizer="sgd").lr > TASK.defaults(facts()).lr


@pytest.mark.parametrize("examples", [4, 10, 100, 1437, 60_000, 1_000_000])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_the_batch_divides_by_the_workers_and_gives_each_two(examples: int, workers: int) -> None:
    size = TASK.defaults(facts(examples=examples, workers=workers)).batch_size
    assert size % workers == 0
    assert size >= 2 * workers


def test_small_sets_are_seen_more_often() -> None:
    sizes = (50, 500, 1437, 50_000)
    epochs = [TASK.defaults(facts(examples=n), strategy="full").epochs for n in sizes]
    assert epochs == sorted(epochs, reverse=True)
    assert (epochs[0], epochs[-1]) == (30, 3)


def test_every_default_says_why() -> None:
    chosen = TASK.defaults(facts())
    assert set(chosen.because) == {"epochs", "batch_size", "optimizer", "lr", "strategy"}


def test_the_rate_warms_up_over_a_tenth_of_the_steps(resolved) -> None:
    config = step_config(resolved.spec, total_steps=88)
    assert config.schedule.rate(0) == pytest.approx(resolved.spec.lr / 8)
    assert config.schedule.rate(8) == resolved.spec.lr


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_epochs_of_digits_reach_nine_in_ten(
    seed: int,
    store: Store,
    state: Path,
    torch_home_with_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The demo's promise, with the official weights; one worker here, two in the demo."""
    monkeypatch.setenv("TORCH_HOME", str(torch_home_with_weights))
    torch.set_num_threads(1)
    request = surgery_pb2.RetargetModelRequest(model="mobilenet_v2", classes=10)
    model = SurgeryServicer(store).RetargetModel(request).model.id
    request = Request(model, "digits", epochs=2, seed=seed, workers=1)
    job = Jobs(store).create(planning.plan(request, Capacity(2, 0), store))
    from netgraft.tuning.workers.run import run

    run(job.id, Group(0, 1, torch.device("cpu")), store)
    assert Jobs(store).get(job.id).metrics["accuracy"] >= 0.95
