"""Everything a rank needs to train a job: its parts of the data, and a learner."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

from torch import nn

from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data.held_back import fit_and_held_back
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
SETTLED_BY = 512
"""Pictures by which batch norms settle, at least, where there are so many."""


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
        self.fit, self.held_back = fit_and_held_back(data)
        counts = Counter(data.labels[index] for index in data.indices("train"))
        self.counts = [counts[label] for label in range(len(data.class_names))]
        self.share = spec.batch_size // group.workers
        self.whole = self.share * group.workers
        self.per_epoch = steps_per_epoch(len(self.fit), self.whole)
        self.threads = max(2, (os.cpu_count() or 1) // group.workers)
        preprocessing = bases.preprocessing(recipe.base)
        self.normalise = Normaliser(preprocessing.mean, preprocessing.std, group.device)

    def to_train(self, epoch: int, taken: int) -> Iterator[Batch]:
        """Training batches of an epoch after those already taken. Raises InvalidData."""
        return self._loaded(self.train, self._fit_order(epoch)[taken:], hash((self.seed, epoch)))

    def to_settle(self) -> Iterator[Batch]:
        """Training pictures as they are, by which batch norms settle. Raises InvalidData."""
        batches = -(-min(len(self.fit), SETTLED_BY) // self.whole)
        return self._loaded(self.train, self._fit_order(0)[:batches], None)

    def to_choose(self) -> Iterator[Batch]:
        """This rank's part of the held-back training pictures. Raises InvalidData."""
        order = self._measured(len(self.held_back))
        return self._loaded(self.train, [[self.held_back[i] for i in each] for each in order], None)

    def to_measure(self) -> Iterator[Batch]:
        """This rank's part of the held-out pictures, in batches. Raises InvalidData."""
        return self._loaded(self.held_out, self._measured(len(self.held_out)), None)

    def _fit_order(self, epoch: int) -> list[list[int]]:
        order = epoch_order(
            len(self.fit),
            self.whole,
            epoch=epoch,
            seed=self.seed,
            rank=self.group.rank,
            workers=self.group.workers,
        )
        return [[self.fit[index] for index in batch] for batch in order]

    def _measured(self, examples: int) -> list[list[int]]:
        group = self.group
        return measured_order(examples, 2 * self.share, group.rank, group.workers)

    def _loaded(self, examples: Any, order: list[list[int]], seed: int | None) -> Iterator[Batch]:
        made = load(examples, order, self.task.collate, seed=seed, threads=self.threads)
        return self.normalise(made)


def task_of(recipe: Recipe) -> Task:
    """The task that trains a recipe's model. Raises NotPossible."""
    return task_for(bases.task(recipe.base), recipe.base.name)


def module_for(spec: Spec, recipe: Recipe, store: Store) -> tuple[nn.Module, tuple[str, ...]]:
    """The module with its weights and what the spec freezes, and the paths of its heads."""
    module: nn.Module = build(recipe, store)
    heads = head_paths(recipe, store)
    if spec.strategy == "probe":
        train_only(module, heads)
    return module, heads


def learner_for(
    spec: Spec, recipe: Recipe, task: Task, total_steps: int, group: Group, store: Store
) -> Learner:
    """The model with its weights, ready for its first step."""
    module, heads = module_for(spec, recipe, store)
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
        layout=spec.layout,
        accumulate=spec.accumulate,
        weight_decay=1e-4 if spec.optimizer == "sgd" else 0.01,
        seed=spec.seed,
    )
