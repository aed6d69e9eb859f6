"""Everything a rank needs to train a job: its parts of the data, and a learner."""

import os
from collections.abc import Iterator
from typing import Any

from torch import nn

from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data.loading import (
    Normaliser,
    epoch_order,
    load,
    measured_order,
    steps_per_epoch,
)
from netgraft.tuning.data.picture import PictureExamples
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.tasks.registry import task_for
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.schedule import Schedule
from netgraft.tuning.train.step import Learner, StepConfig, train_only
from netgraft.tuning.workers.group import Group

LONGEST_WARMUP = 500
"""Steps."""


class Batches:
    """A rank's share of a job's data, as batches of numbers on its device."""

    def __init__(self, spec: Spec, recipe: Recipe, task: Task, group: Group) -> None:
        """Raises DataNotFound, OutsideDataRoots and InvalidData."""
        self.seed = spec.seed
        self.task = task
        self.group = group
        data = open_data(spec.data)
        self.class_names = data.class_names
        self.train = PictureExamples(data, "train", spec.image_size)
        self.held_out = PictureExamples(data, "held_out", spec.image_size)
        self.share = spec.batch_size // group.workers
        self.per_epoch = steps_per_epoch(len(self.train), self.share * group.workers)
        self.threads = max(1, (os.cpu_count() or 1) // group.workers)
        preprocessing = bases.preprocessing(recipe.base)
        self.normalise = Normaliser(preprocessing.mean, preprocessing.std, group.device)

    def to_train(self, epoch: int, taken: int) -> Iterator[Batch]:
        """Training batches of an epoch after those already taken. Raises InvalidData."""
        order = epoch_order(
            len(self.train),
            self.share * self.group.workers,
            epoch=epoch,
            seed=self.seed,
            rank=self.group.rank,
            workers=self.group.workers,
        )
        seed = self.seed + epoch
        return self._loaded(self.train, order[taken:], seed)

    def to_measure(self) -> Iterator[Batch]:
        """This rank's part of the held-out examples, in batches. Raises InvalidData."""
        group = self.group
        order = measured_order(len(self.held_out), 2 * self.share, group.rank, group.workers)
        return self._loaded(self.held_out, order, None)

    def _loaded(self, examples: Any, order: list[list[int]], seed: int | None) -> Iterator[Batch]:
        made = load(examples, order, self.task.collate, seed=seed, threads=self.threads)
        return self.normalise(made)


def task_of(recipe: Recipe) -> Task:
    """The task that trains a recipe's model. Raises NotPossible."""
    return task_for(bases.task(recipe.base), recipe.base.name)


def learner_for(
    spec: Spec, recipe: Recipe, task: Task, total_steps: int, group: Group, store: Store
) -> Learner:
    """The model with its weights, ready for its first step."""
    module: nn.Module = build(recipe, store)
    heads = head_paths(recipe, store)
    if spec.strategy == "probe":
        train_only(module, heads)
    return Learner(
        module,
        task,
        task.criterion(spec.loss),
        step_config(spec, total_steps),
        device=group.device,
        head=heads,
        wrap=group.wrap,
    )


def step_config(spec: Spec, total_steps: int) -> StepConfig:
    """The settings of a spec's steps; a tenth of them, at most `LONGEST_WARMUP`, warm up."""
    warmup = min(LONGEST_WARMUP, max(1, total_steps // 10))
    return StepConfig(
        schedule=Schedule(spec.lr, warmup, total_steps),
        optimizer=spec.optimizer,
        precision=spec.precision,
        weight_decay=1e-4 if spec.optimizer == "sgd" else 0.01,
        seed=spec.seed,
    )
