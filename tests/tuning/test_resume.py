"""A rank is killed in the middle of a step, and the run goes on to the same bits.

Real ranks in processes of their own, gloo between two of them, real pictures with augmentation.
"""

import hashlib
import importlib
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from netgraft.app.preloaded import RANKS
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store, default_store
from netgraft.surgery.servicer import SurgeryServicer
from netgraft.tuning.jobs import planning
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity
from netgraft.tuning.jobs.spec import Request
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.step import Learner
from netgraft.v1 import surgery_pb2

PICTURES = 24
"""Of each of two classes."""
EPOCHS, STEPS = 3, 12


SLOW = pytest.mark.slow
Killed = tuple[int, int | str]
"""The rank that dies, and when: in a step, or in one of `MOMENTS`."""
MOMENTS = {
    "reading": "netgraft.tuning.data.reading:Reading.finish",
    "read": "netgraft.tuning.workers.preparing:Preparing._read",
    "probe": "netgraft.tuning.workers.probing:Probing.carry_out",
    "start": "netgraft.tuning.workers.probing:Probing.start",
    "pilot": "netgraft.tuning.train.pilot:step_seconds",
    "saving": "netgraft.tuning.train.checkpoint:_write",
    "storing": "netgraft.tuning.workers.results:store_tuned",
    "ending": "netgraft.tuning.jobs.jobs:Jobs.succeed",
}
"""Functions in the middle of which a rank can be killed: when they have done their work."""


@dataclass
class Ranks:
    """Starts the ranks of jobs in forks of a process that has imported what they need."""

    context: ForkServerContext
    folder: Path
    model: str

    def job(self, ranks: int, strategy: str = "full", **said: Any) -> str:
        """A job; "auto" is carried out though the network has random weights."""
        usual = {"image_size": 32, "batch_size": 8, "precision": "fp32", "lr": 0.01}
        usual |= {"epochs": EPOCHS, "workers": ranks, "augment": "strong", "mixup": 0.3}
        usual |= {"label_smoothing": 0.1, "balance": "sampling"}
        request = Request(self.model, "pets", **(usual | said))
        resolved = planning.plan(request, Capacity(3, 0), default_store())
        resolved = replace(resolved, spec=replace(resolved.spec, strategy=strategy))
        return Jobs(default_store()).create(resolved).id

    def run(self, job: str, ranks: int, kill: Killed | None = None) -> None:
        """Run one attempt to its end, or until a rank is killed."""
        meeting = self.folder / f"{job}-{random.random()}"
        environment = {name: v for name, v in os.environ.items() if name.startswith("NETGRAFT_")}
        started = [
            self.context.Process(
                target=_rank, args=(environment, job, rank, ranks, str(meeting), kill)
            )
            for rank in range(ranks)
        ]
        for process in started:
            process.start()
        if kill:
            started[kill[0]].join()
            assert started[kill[0]].exitcode == -signal.SIGKILL, Jobs(default_store()).get(job)
            for process in started:  # a supervisor ends those that are left
                process.kill()
        for process in started:
            process.join()
        assert kill or [process.exitcode for process in started] == [0] * ranks


def _rank(
    environment: dict[str, str],
    job: str,
    rank: int,
    ranks: int,
    meeting: str,
    kill: Killed | None,
) -> None:
    """A rank, in a process of its own."""
    from netgraft.tuning.workers.rank import work

    os.environ.update(environment)
    settings.cache_clear()
    if kill and kill[0] == rank:
        _die_at(kill[1])
    work(job, rank, ranks, 1, "cpu", meeting)


def _die_at(moment: int | str) -> None:
    """Have this process killed in a step, or at the end of a function."""
    if isinstance(moment, str):
        module, _, path = MOMENTS[moment].partition(":")
        *owners, name = path.split(".")
        owner: Any = importlib.import_module(module)
        for each in owners:
            owner = getattr(owner, each)
        function = getattr(owner, name)

        def deadly(*arguments: Any, **named: Any) -> Any:
            function(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(owner, name, deadly)
        return
    step = Learner.step

    def dying(self: Learner, *arguments: Any) -> torch.Tensor:
        if self.steps == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)

    Learner.step = dying  # type: ignore[method-assign]


@pytest.fixture
def ranks(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ranks]:
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(tmp_path))
    monkeypatch.setenv("NETGRAFT_STATE", str(settings().folder))
    monkeypatch.setenv("NETGRAFT_CHECKPOINT_SECONDS", "0.01")
    settings.cache_clear()
    torch.set_num_threads(1)
    generator = random.Random(0)
    for label, name in enumerate(("cat", "dog")):
        folder = tmp_path / "pets" / name
        folder.mkdir(parents=True)
        for index in range(PICTURES):
            noise = bytes(generator.randrange(120 * label, 256) for _ in range(12 * 10 * 3))
            Image.frombytes("RGB", (12, 10), noise).resize((48, 40)).save(folder / f"{index}.png")
    request = surgery_pb2.RetargetModelRequest(model="timm/test_resnet@none", classes=2)
    model = SurgeryServicer(default_store()).RetargetModel(request).model.id
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*RANKS, "torch.utils.tensorboard.writer"])
    yield Ranks(context, tmp_path, model)
    monkeypatch.undo()
    settings.cache_clear()


def digest(value: Any) -> str:
    """SHA-256 of all tensors and plain values in a state, in order."""
    found = hashlib.sha256()

    def take(each: Any) -> None:
        if isinstance(each, torch.Tensor):
            found.update(each.detach().contiguous().numpy().tobytes())
        elif isinstance(each, dict):
            for name in each:
                found.update(str(name).encode())
                take(each[name])
        elif isinstance(each, list | tuple):
            for part in each:
                take(part)
        else:
            found.update(repr(each).encode())

    take(value)
    return found.hexdigest()


def states(store: Store, job: str) -> dict[str, str]:
    """Digests of what the last checkpoint of a job holds, and of what it led to."""
    last = checkpoint.newest(store, job)
    assert last is not None
    learner = last["learner"]
    assert learner["steps"] == STEPS
    done = Jobs(store).get(job)
    assert done.state is State.SUCCEEDED
    own = [buffer for rank in last["ranks"] for buffer in rank]
    # A model's id names its job: its weights must be the same.
    models = {name: last["decisions"][name] for name in ("probe", "shown")}
    same = {name: tensors_of(store, model) for name, model in models.items() if model}
    return {
        "parameters": digest(learner["module"]),
        "averages": digest(learner["averages"]),
        "optimizer": digest(learner["optimizer"]),
        "buffers of each rank": digest(own),
        "decisions": digest(last["decisions"] | same),
        "result": tensors_of(store, done.result_model),
    }


def tensors_of(store: Store, model: str) -> str:
    """The hash of a tuned model's tensors."""
    edit: Any = get_recipe(store, model).edits[-1]
    return str(edit.tensors)


def killed(ranks: Ranks, workers: int, kills: list[Killed], **said: Any) -> dict[str, str]:
    store = default_store()
    job = ranks.job(workers, **said)
    for kill in kills:
        ranks.run(job, workers, kill)
    ranks.run(job, workers)
    found = Jobs(store).events_after(job, 0)[1]
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    models = [event.model for event in found if event.kind is Kind.MODEL]
    assert len(models) == ("strategy" in said), "one model from the probe, made once"
    ended = kills[-1][1] == "ending"
    assert Jobs(store).get(job).attempt == len(kills) + (not ended)
    return states(store, job)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_to_the_bits_of_an_undisturbed_one(ranks: Ranks, workers: int) -> None:
    undisturbed = ranks.job(workers)
    ranks.run(undisturbed, workers)
    assert killed(ranks, workers, [(workers - 1, 3), (0, 7)]) == states(
        default_store(), undisturbed
    )


WHILE_IT_PREPARES: list[Killed] = [(1, "probe"), (0, "saving")]
AND_ENDS: list[Killed] = [(0, "read"), (1, "probe"), (0, "storing"), (0, "start"), (1, 2)]
AND_ENDS += [(0, "saving"), (0, "ending")]


@pytest.mark.parametrize("kills", [WHILE_IT_PREPARES, pytest.param(AND_ENDS, marks=SLOW)])
def test_kills_while_it_prepares_and_ends_change_nothing_and_store_nothing_twice(
    ranks: Ranks, kills: list[Killed]
) -> None:
    said = {"strategy": "auto", "precision": None}
    undisturbed = ranks.job(2, **said)
    ranks.run(undisturbed, 2)
    form = Jobs(default_store()).get(undisturbed).spec
    # The forms that were measured may differ: here they are said.
    said |= {"precision": form.precision, "layout": form.layout, "features": form.features}
    assert killed(ranks, 2, kills, **said) == states(default_store(), undisturbed)


def test_fewer_pictures_than_ranks_hang_nothing(ranks: Ranks) -> None:
    for name in ("cat", "dog"):
        for path in sorted((ranks.folder / "pets" / name).iterdir())[5 + (name == "dog") :]:
            path.unlink()
    job = ranks.job(3, strategy="auto", epochs=1, batch_size=6, precision=None)
    ranks.run(job, 3, (1, "reading"))
    ranks.run(job, 3, (2, "pilot"))
    ranks.run(job, 3)
    assert Jobs(default_store()).get(job).state is State.SUCCEEDED


@SLOW
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_of_each_kind_of_rank_change_nothing(ranks: Ranks, workers: int) -> None:
    undisturbed = ranks.job(workers)
    ranks.run(undisturbed, workers)
    choose = random.Random(workers)
    steps = sorted(choose.choices(range(STEPS), k=10))
    kills: list[Killed] = [(choose.randrange(workers), step) for step in steps]
    assert killed(ranks, workers, kills) == states(default_store(), undisturbed)
