"""A rank is killed in the middle of a step, and the run goes on to the same bits.

Real ranks in processes of their own, gloo between two of them, real pictures with augmentation.
"""

import hashlib
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass
class Ranks:
    """Starts the ranks of jobs in forks of a process that has imported what they need."""

    context: ForkServerContext
    folder: Path
    model: str

    def job(self, ranks: int) -> str:
        request = Request(
            self.model,
            "pets",
            epochs=EPOCHS,
            image_size=32,
            batch_size=8,
            workers=ranks,
            precision="fp32",
            lr=0.01,
            augment="strong",
            mixup=0.3,
            label_smoothing=0.1,
            balance="sampling",
        )
        resolved = planning.plan(request, Capacity(2, 0), default_store())
        return Jobs(default_store()).create(resolved).id

    def run(self, job: str, ranks: int, kill: tuple[int, int] | None = None) -> None:
        """Run one attempt to its end; `kill`: the rank that dies, and in which step."""
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
            assert started[kill[0]].exitcode == -signal.SIGKILL
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
    kill: tuple[int, int] | None,
) -> None:
    """A rank, in a process of its own. Checkpoints stay, so that the test can read them."""
    from netgraft.tuning.workers.rank import work

    os.environ.update(environment)
    settings.cache_clear()
    checkpoint.clear = lambda *_: None
    step = Learner.step

    def dying(self: Learner, *arguments: Any) -> torch.Tensor:
        if kill == (rank, self.steps):
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self, *arguments)

    Learner.step = dying  # type: ignore[method-assign]
    work(job, rank, ranks, 1, "cpu", meeting)


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
    edit = get_recipe(store, done.result_model).edits[-1]
    own = [buffer for rank in last["ranks"] for buffer in rank]
    return {
        "parameters": digest(learner["module"]),
        "averages": digest(learner["averages"]),
        "optimizer": digest(learner["optimizer"]),
        "buffers of each rank": digest(own),
        "decisions": digest(last["decisions"]),
        "result": edit.tensors,  # type: ignore[attr-defined]
    }


def killed(ranks: Ranks, workers: int, kills: list[tuple[int, int]]) -> dict[str, str]:
    store = default_store()
    job = ranks.job(workers)
    for kill in kills:
        ranks.run(job, workers, kill)
    ranks.run(job, workers)
    found = Jobs(store).events_after(job, 0)[1]
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    assert Jobs(store).get(job).attempt == len(kills) + 1
    return states(store, job)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_to_the_bits_of_an_undisturbed_one(ranks: Ranks, workers: int) -> None:
    undisturbed = ranks.job(workers)
    ranks.run(undisturbed, workers)
    assert killed(ranks, workers, [(workers - 1, 3), (0, 7)]) == states(
        default_store(), undisturbed
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_ten_kills_of_each_kind_of_rank_change_nothing(ranks: Ranks, workers: int) -> None:
    undisturbed = ranks.job(workers)
    ranks.run(undisturbed, workers)
    choose = random.Random(workers)
    kills = [
        (choose.randrange(workers), step) for step in sorted(choose.choices(range(STEPS), k=10))
    ]
    assert killed(ranks, workers, kills) == states(default_store(), undisturbed)
