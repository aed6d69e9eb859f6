"""Tasks: each is a file of its own, found without a list, and trained by the one loop."""

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netgraft.errors import InvalidValue, NotPossible
from netgraft.models.recipe import Recipe
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.resolve import resolve
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning import tasks
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.results.evaluation import evaluate
from netgraft.tuning.tasks.classification import TASK as CLASSIFICATION
from netgraft.tuning.tasks.registry import every_task, task_for
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.run import run

CPU = torch.device("cpu")
TOY = Path(__file__).with_name("toy_tasks")
PACKAGE = Path(tasks.__file__).parents[1]


@pytest.fixture
def ordinal(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task whose file lies outside the package."""
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(TOY)])
    return task_for("ordinal", "net")


@pytest.fixture
def root(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    settings.cache_clear()
    torch.set_num_threads(1)
    yield tmp_path
    monkeypatch.undo()
    settings.cache_clear()


def test_a_task_is_found_by_the_catalogues_task_of_a_model() -> None:
    assert task_for("classification", "resnet18") is CLASSIFICATION
    assert task_for("unknown", "net") is CLASSIFICATION


def test_a_model_that_no_task_trains_is_refused_with_those_that_are_trained() -> None:
    with pytest.raises(NotPossible, match=r"fcn is a model for segmentation.*for classification"):
        task_for("segmentation", "fcn")


def test_a_file_from_outside_the_package_is_a_task_like_any_other(ordinal: Task) -> None:
    assert ordinal in list(every_task())
    assert task_for("classification", "resnet18") is CLASSIFICATION


def graded(count: int) -> list[tuple[Tensor, dict[str, Tensor]]]:
    """Batches of pictures whose brightness is their grade, from 0 to 3."""
    generator = torch.Generator().manual_seed(2)
    batches = []
    for _ in range(count):
        grades_N = torch.randint(0, 4, (16,), generator=generator).float()
        noise_NCHW = torch.randn(16, 3, 4, 4, generator=generator)
        batches.append((noise_NCHW + grades_N[:, None, None, None], {"grade": grades_N}))
    return batches


def learner(task: Task) -> Learner:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4))
    config = StepConfig(Schedule(0.01, 3, 40))
    return Learner(module, task, task.criterion(task.losses[0]), config, device=CPU)


def test_the_step_trains_a_task_that_it_has_never_heard_of(ordinal: Task) -> None:
    taught = learner(ordinal)
    before = taught.measure(graded(2)).metrics
    losses = [float(taught.step(batch)) for batch in graded(40)]
    after = taught.measure(graded(2)).metrics
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert after["distance"] < 0.7 * before["distance"]


def test_the_parts_of_several_ranks_are_measured_as_one(ordinal: Task) -> None:
    taught, batches = learner(ordinal), graded(4)
    parts = [taught.measure(batches[:1]).sums(), taught.measure([]).sums()]

    def total(mine: list[float]) -> list[float]:
        return [sum(values) for values in zip(mine, *parts, strict=True)]

    whole = evaluate(taught, batches)
    assert evaluate(taught, batches[1:], total) == pytest.approx(whole)


def test_a_job_of_such_a_task_runs_from_request_to_tuned_model(
    ordinal: Task, store: Store, jobs: Jobs, root: Path
) -> None:
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    torch.save(nn.Sequential(*layers, nn.Linear(32, 10)), root / "net.pth")
    base = resolve("net.pth", "none", store).recipe.base
    assert base.file is not None
    model = put_recipe(store, Recipe(replace(base, file=replace(base.file, task="ordinal"))))
    request = Request(model, "digits", epochs=1, image_size=16, batch_size=64, workers=1)
    with pytest.raises(InvalidValue, match="squared"):
        planning.plan(replace(request, loss="cross_entropy"), Capacity(2, 0), store)
    job = jobs.create(planning.plan(request, Capacity(2, 0), store))
    assert (job.spec.loss, job.spec.optimizer) == ("squared", "sgd")
    run(job.id, Group(0, 1, CPU), store)
    done = jobs.get(job.id)
    assert set(done.metrics) == {"distance", "loss"}
    epochs = [e for e in jobs.events_after(job.id, 0)[1] if e.kind is Kind.EPOCH]
    assert [set(event.metrics) for event in epochs] == [{"held_back_distance", "held_back_loss"}]
    assert get_recipe(store, done.result_model).metrics == done.metrics


def test_the_step_needs_torch_and_little_else() -> None:
    """A machine with torch alone runs it: no Ray, no database, no pictures."""
    code = "import netgraft.tuning.train.step, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "torch" in loaded
    assert not loaded & {"ray", "sqlalchemy", "PIL", "torchvision", "timm", "grpc", "pydantic"}
    ours = {name for name in loaded if name.startswith("netgraft.tuning.")}
    assert {name.split(".")[2] for name in ours} == {"train"}


ORDER = ("data", "train", "tasks", "jobs", "results", "workers")


def test_the_rooms_of_tuning_know_those_before_them_and_none_behind() -> None:
    found = []
    for place, part in enumerate(ORDER):
        behind = ORDER[place + 1 :] + (("data",) if part in ("train", "tasks") else ())
        for file in sorted((PACKAGE / part).rglob("*.py")):
            imported = re.findall(r"(?:from|import) netgraft\.tuning\.(\w+)", file.read_text())
            found += [(file.name, other) for other in imported if other in behind]
    assert found == []
