"""A user's own module, and a user's state dict, trained like a name of the zoo."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from netgraft.errors import LossMismatch
from netgraft.models.build import build
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run


def own() -> object:
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(8, 10))


def state_dict() -> object:
    return timm.create_model("test_resnet", num_classes=10).state_dict()


@pytest.fixture
def root(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    torch.set_num_threads(1)
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


@pytest.mark.parametrize("make", [own, state_dict])
def test_what_lies_in_a_file_is_trained(
    store: Store, jobs: Jobs, root: Path, make: Callable[[], object]
) -> None:
    torch.save(make(), root / "net.pth")
    request = Request("./net.pth", "digits", epochs=1, image_size=16, batch_size=64, workers=1)
    job = jobs.create(planning.plan(request, Capacity(2, 0), store))
    (root / "net.pth").unlink()  # the recipe no longer needs it
    run(job.id, Group(0, 1, torch.device("cpu")), store)
    done = jobs.get(job.id)
    assert done.state is State.SUCCEEDED
    tuned = get_recipe(store, done.result_model)
    assert tuned.base.file is not None
    changed, plain = (build(recipe, store).state_dict() for recipe in (tuned, tuned.parent))
    assert any(not torch.equal(changed[key], plain[key]) for key in plain)


@pytest.mark.parametrize(("last", "name"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")])
def test_a_loss_that_reads_logits_is_refused_before_a_job_when_the_model_has_squashed_them(
    store: Store, root: Path, last: nn.Module, name: str
) -> None:
    layers = (nn.ReLU(inplace=True), nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    torch.save(nn.Sequential(*layers, nn.Linear(8, 10), last), root / "net.pth")

    def started(**said: object) -> str:
        request = Request("net.pth", "digits", epochs=1, image_size=16, workers=1, **said)
        return planning.plan(request, Capacity(2, 0), store).spec.loss

    with pytest.raises(LossMismatch, match=f"cross_entropy.*a {name}.*mse, l1, huber"):
        started()
    with pytest.raises(LossMismatch, match="bce"):
        started(loss="bce")
    assert started(loss="mse") == "mse"
