"""The head that trains is the one found by tracing, where a guess by size would be wrong."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from netgraft.errors import NotPossible, TrainingFailed
from netgraft.models.build import build
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.resolve import resolve
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request, ResolvedSpec
from netgraft.tuning.tasks.classification import TASK
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.prepare import step_config
from netgraft.tuning.workers.run import run
from netgraft.v1 import surgery_pb2

ALONE = Group(0, 1, torch.device("cpu"))


@pytest.fixture
def root(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    torch.set_num_threads(1)
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


def test_a_head_behind_the_whole_model_is_one(store: Store) -> None:
    request = surgery_pb2.RetargetModelRequest(model="timm/samvit_base_patch16@none", classes=5)
    retargeted = get_recipe(store, SurgeryServicer(store).RetargetModel(request).model.id)
    assert head_paths(retargeted, store) == ("head",)


def wide(root: Path, store: Store) -> Recipe:
    """A model of ten classes with a later layer of ten outputs that does not give the answer."""
    module = resnet18(num_classes=10)
    module.projection = nn.Linear(512, 10)
    torch.save(module, root / "net.pth")
    recipe = resolve("net.pth", "none", store).recipe
    put_recipe(store, recipe)
    return recipe


def planned(recipe: Recipe, store: Store, **said: object) -> ResolvedSpec:
    usual = {"epochs": 1, "image_size": 32, "batch_size": 256, "workers": 1, "precision": "fp32"}
    return planning.plan(Request(recipe.id, "digits", **(usual | said)), Capacity(2, 0), store)


def test_a_probe_trains_the_layer_that_answers_and_not_the_last_of_its_size(
    root: Path, store: Store, jobs: Jobs
) -> None:
    recipe = wide(root, store)
    job = jobs.create(planned(recipe, store, strategy="probe"))
    run(job.id, ALONE, store)
    edit = get_recipe(store, jobs.get(job.id).result_model).edits[-1]
    assert isinstance(edit, Tuned)
    assert set(store.get_tensors(edit.tensors)) == {"fc.weight", "fc.bias"}


def test_a_probe_is_refused_where_no_layer_tells_classes_apart(root: Path, store: Store) -> None:
    layers = (nn.Conv2d(3, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(10))
    torch.save(nn.Sequential(*layers), root / "net.pth")
    recipe = resolve("net.pth", "none", store).recipe
    put_recipe(store, recipe)
    with pytest.raises(NotPossible, match="head of this model is not known"):
        planned(recipe, store, strategy="probe")
    assert planned(recipe, store, strategy="full").spec.strategy == "full"


OLD = (
    '{"spec": {"model": "MODEL", "data": "digits", "epochs": 1, "lr": 0.001, "batch_size": 256, '
    '"optimizer": "adamw", "loss": "cross_entropy", "workers": 1, "device": "cpu", '
    '"precision": "fp32", "strategy": "full", "image_size": 32, "seed": 0}, '
    '"assumptions": ["lr 0.001: usual for adamw on a network with batch norm"]}'
)
"""A job's row as netgraft 0.2 wrote it."""


def test_a_job_that_an_older_netgraft_stored_goes_on_from_its_checkpoint(
    root: Path, store: Store, jobs: Jobs
) -> None:
    recipe = wide(root, store)
    job = jobs.create(ResolvedSpec.from_json(OLD.replace("MODEL", recipe.id)))
    assert job.resolved.to_json() == OLD.replace("MODEL", recipe.id)
    saved(store, job.id, recipe, heads=["fc"])
    run(job.id, ALONE, store)
    assert jobs.get(job.id).result_model


def test_a_checkpoint_of_other_heads_ends_the_job_with_a_sentence(
    root: Path, store: Store, jobs: Jobs
) -> None:
    recipe = wide(root, store)
    job = jobs.create(ResolvedSpec.from_json(OLD.replace("MODEL", recipe.id)))
    saved(store, job.id, recipe, heads=["fc", "layer4"])
    with pytest.raises(TrainingFailed, match="other layers for the model's head"):
        run(job.id, ALONE, store)


def saved(store: Store, job_id: str, recipe: Recipe, heads: list[str]) -> None:
    """A checkpoint before the first step, whose optimizer took these layers for heads."""
    config = step_config(ResolvedSpec.from_json(OLD).spec, 5)
    learner = Learner(
        build(recipe, store), TASK, TASK.criterion(""), config, device=ALONE.device, head=heads
    )
    checkpoint.save(store, job_id, 0, {"learner": learner.state(), "metrics": {}})
