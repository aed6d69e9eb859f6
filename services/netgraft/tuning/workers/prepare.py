"""Everything a rank needs to train a job: its parts of the data, and a learner."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.recipe import Recipe
from netgraft.store.store import Store
from netgraft.tuning.data import Manifest
from netgraft.tuning.data.augment import Augment
from netgraft.tuning.data.held_back import roles
from netgraft.tuning.data.loading import (
    Normaliser,
    epoch_order,
    load,
    measured_order,
    steps_per_epoch,
)
from netgraft.tuning.data.pixels import PictureExamples, Pixels
from netgraft.tuning.forecast.timings import part
from netgraft.tuning.jobs.heads import head_paths
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.tasks.registry import task_for
from netgraft.tuning.tasks.task import Task
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.rates import Rates
from netgraft.tuning.train.schedule import Schedule, restarts, rounds
from netgraft.tuning.train.step import Learner, StepConfig, train_only
from netgraft.tuning.workers.findings import Findings
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.known import KnownFeatures

LONGEST_WARMUP = 500
"""Steps."""
FROM_THE_PROBE = Rates(head=1.0, lowest=0.3)
"""The head is good already, and the first layers fit most pictures: they move little."""
SETTLED_BY = 512
"""Pictures by which batch norms settle, at least, where there are so many."""


@dataclass(frozen=True)
class Data:
    """An opened data set, as far as a run has read it."""

    manifest: Manifest
    without: frozenset[int] = frozenset()
    """Pictures that cannot be read and are left out."""
    pixels: Pixels | None = None
    """What a pass over the pictures has kept."""
    data_hash: str = ""
    """SHA-256 over the contents."""
    findings: Findings | None = None
    """What is wrong with them; on rank 0."""
    known: KnownFeatures | None = None
    """Features of these pictures that are kept; on rank 0."""


class Batches:
    """A rank's share of a job's data, as batches of numbers on its device."""

    def __init__(self, spec: Spec, recipe: Recipe, task: Task, group: Group, data: Data) -> None:
        self.seed = spec.seed
        self.task = task
        self.group = group
        self.data = data
        self.manifest = manifest = data.manifest
        self.class_names = manifest.class_names
        everything = range(len(manifest.names))
        self.examples = PictureExamples(manifest, everything, spec.image_size, data.pixels)
        self.vary(spec)
        self.roles = roles(manifest, data.without)
        held_out = self.roles.held_out
        self.held_out = PictureExamples(manifest, held_out, spec.image_size, data.pixels)
        counts = Counter(manifest.labels[index] for index in self.roles.train)
        self.counts = [counts[label] for label in range(len(manifest.class_names))]
        self.share = spec.batch_size // group.workers
        self.whole = self.share * group.workers
        self.labels = [manifest.labels[index] for index in self.roles.fit]
        self.evenly = spec.balance == "sampling"
        self.per_epoch = steps_per_epoch(len(self.roles.fit), self.whole)
        # At least two: one reads a file while the other decodes.
        self.threads = max(2, (os.cpu_count() or 1) // group.workers)
        preprocessing = bases.preprocessing(recipe.base)
        self.normalise = Normaliser(preprocessing.mean, preprocessing.std, group.device)

    def vary(self, spec: Spec) -> None:
        """Vary training pictures as a spec says."""
        whole = self.manifest.kept_whole
        name = spec.augment or ("none" if whole else "light")  # netgraft 0.2 chose none
        self.examples.augment = Augment(name, spec.mirror is not False, whole)

    def to_train(self, epoch: int, taken: int) -> Iterator[Batch]:
        """Training batches of an epoch after those already taken. Raises InvalidData."""
        return self._loaded(
            self._fit_order(epoch, evenly=self.evenly)[taken:], hash((self.seed, epoch))
        )

    def to_settle(self) -> Iterator[Batch]:
        """Training pictures as they are, by which batch norms settle. Raises InvalidData."""
        batches = -(-min(len(self.roles.fit), SETTLED_BY) // self.whole)
        return self._loaded(self._fit_order(0, evenly=False)[:batches], None)

    def to_choose(self) -> Iterator[Batch]:
        """This rank's part of the held-back training pictures. Raises InvalidData."""
        return self._loaded(self._measured(self.roles.held_back), None)

    def to_measure(self) -> Iterator[Batch]:
        """This rank's part of the held-out pictures, in batches. Raises InvalidData."""
        return self._loaded(self._measured(self.roles.held_out), None)

    def _fit_order(self, epoch: int, *, evenly: bool) -> list[list[int]]:
        fit = self.roles.fit
        order = epoch_order(
            len(fit),
            self.whole,
            epoch=epoch,
            seed=self.seed,
            rank=self.group.rank,
            workers=self.group.workers,
            labels=self.labels if evenly else (),
        )
        return [[fit[index] for index in batch] for batch in order]

    def _measured(self, pictures: list[int]) -> list[list[int]]:
        group = self.group
        order = measured_order(len(pictures), 2 * self.share, group.rank, group.workers)
        return [[pictures[index] for index in batch] for batch in order]

    def _loaded(self, order: list[list[int]], seed: int | None) -> Iterator[Batch]:
        made = load(self.examples, order, self.task.collate, seed=seed, threads=self.threads)
        return self.normalise(made)


def task_of(recipe: Recipe) -> Task:
    """The task that trains a recipe's model. Raises NotPossible."""
    return task_for(bases.task(recipe.base), recipe.base.name)


@part("build")
def module_for(spec: Spec, recipe: Recipe, store: Store) -> tuple[nn.Module, tuple[str, ...]]:
    """The module with its weights and what the spec freezes, and the paths of its heads."""
    module: nn.Module = build(recipe, store)
    heads = head_paths(recipe, store)
    if spec.strategy == "probe":
        train_only(module, heads)
    return module, heads


def learner_for(
    spec: Spec,
    module: nn.Module,
    heads: Collection[str],
    task: Task,
    total_steps: int,
    group: Group,
    counts: Sequence[int] = (),
) -> Learner:
    """The model, ready for its first step."""
    judge = task.criterion(spec.loss)
    learner = Learner(
        module,
        task,
        criterion_for(spec, task, counts) or judge,
        step_config(spec, total_steps),
        device=group.device,
        head=heads,
        wrap=group.wrap,
    )
    learner.judge = judge.to(group.device)
    return learner


def criterion_for(spec: Spec, task: Task, counts: Sequence[int]) -> nn.Module | None:
    """The loss of training where it is another than that of measuring; else None.

    `counts`: the training pictures of each class. A class weighs in inverse proportion to them.
    """
    if spec.balance != "weights":
        return task.criterion(spec.loss, spec.label_smoothing) if spec.label_smoothing else None
    counts_K = torch.tensor(counts, dtype=torch.float32)
    weights_K = counts_K.sum() / (len(counts) * counts_K.clamp(min=1))
    return task.criterion(spec.loss, spec.label_smoothing, weights_K)


def schedule(spec: Spec, total_steps: int, per_epoch: int, first_step: int = 0) -> Schedule:
    """The rates from a step on; a tenth of the first round, at most `LONGEST_WARMUP`, warms up."""
    ends = rounds_of(spec, first_step)
    first = min(total_steps - first_step, ends[0] * per_epoch)
    warmup = min(LONGEST_WARMUP, max(1, first // 10))
    return Schedule(spec.lr, warmup, total_steps, first_step, restarts(ends, per_epoch))


def step_config(spec: Spec, total_steps: int) -> StepConfig:
    """The settings of a spec's steps."""
    return StepConfig(
        schedule=schedule(spec, total_steps, total_steps // spec.epochs),
        optimizer=spec.optimizer,
        precision=spec.precision,
        layout=spec.layout,
        accumulate=spec.accumulate,
        rates=FROM_THE_PROBE if spec.strategy == "auto" else Rates(),
        weight_decay=1e-4 if spec.optimizer == "sgd" else 0.01,
        mixup=spec.mixup,
        seed=spec.seed,
    )


def rounds_of(spec: Spec, first_step: int = 0) -> list[int]:
    """The epochs at whose ends the rate is low.

    Only `auto` goes on for as long as it pays. More epochs, asked for later, are one round.
    """
    goes_on = spec.strategy == "auto" and spec.patience and not first_step
    return rounds(spec.epochs) if goes_on else [spec.epochs]
