"""One worker's way through a job: prepare, train, measure, hand over the tuned model.

All workers go through it alike; rank 0 also keeps the diary, writes checkpoints and stores
the result. Knows no Ray: one worker can run it in-process.
"""

import math
import os
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from netgraft.errors import TrainingFailed
from netgraft.models import bases
from netgraft.models.build import build
from netgraft.models.losses.catalogue import make_loss
from netgraft.models.recipe import Tuned
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.values import drawn_names
from netgraft.settings import settings
from netgraft.store import gradients
from netgraft.store.store import Store
from netgraft.tuning.data import open_data
from netgraft.tuning.data.loading import (
    Normaliser,
    epoch_order,
    load,
    measured_order,
    steps_per_epoch,
)
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.jobs.planning import head_paths
from netgraft.tuning.train import checkpoint, strategies
from netgraft.tuning.train.step import Learner, train_only
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.progress import Diary
from netgraft.tuning.workers.throughput import Pace

NOTHING_IGNORED = -100
"""No class index: pixels may be of class "ignore", whole pictures may not."""

GO_ON, SAVE, STOP, LEAVE = range(4)
"""What rank 0 tells all: go on; save and go on; save and stop; leave at once."""


class Interrupted(Exception):
    """The run was told to stop and has saved what it had."""


def run(job_id: str, group: Group, store: Store) -> None:
    """Train a job to its end, or until it is cancelled or taken over.

    Raises NetgraftError for what starting again would not mend.
    """
    jobs = Jobs(store)
    attempt = _begin(jobs, job_id, group)
    if attempt:
        Run(jobs.get(job_id), attempt, group, store).carry_out()


def _begin(jobs: Jobs, job_id: str, group: Group) -> int:
    """The attempt's number; 0 on all ranks when there is nothing to do."""
    attempt = 0
    if group.leads:
        try:
            attempt = jobs.begin(job_id)
        except Superseded:
            attempt = 0
    return int(group.agree([attempt])[0])


@dataclass
class Run:
    """One attempt, on one rank."""

    job: Job
    attempt: int
    group: Group
    store: Store
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        spec = self.job.order.spec
        self.spec = spec
        self.recipe = get_recipe(self.store, spec.model)
        self.data = open_data(spec.data)
        self.train = self.data.examples("train", spec.image_size)
        self.held_out = self.data.examples("held_out", spec.image_size)
        self.share = spec.batch_size // self.group.workers
        self.per_epoch = steps_per_epoch(len(self.train), self.share * self.group.workers)
        self.total = self.per_epoch * spec.epochs
        self.learner = self._learner()
        taste = bases.preprocessing(self.recipe.base)
        self.normalise = Normaliser(taste.mean, taste.std, self.group.device)
        self.saved = time.monotonic()

    def carry_out(self) -> None:
        """Train what is left, then store the result."""
        if not self.group.leads:
            self._restore()
            self._train(None)
            return
        before = {name: value.clone() for name, value in self.learner.module.state_dict().items()}
        self._restore()
        jobs = Jobs(self.store)
        with Diary(jobs, self.job.id, self.attempt, self.learner.steps) as diary:
            try:
                self._train(diary)
            except Interrupted:
                diary.flush()
                self._stop(jobs, diary)
                return
        if diary.orders.error:
            raise diary.orders.error
        model = self._store_result(before)
        jobs.succeed(self.job.id, self.attempt, model, self.metrics)
        checkpoint.clear(self.store, self.job.id)

    # Training

    def _train(self, diary: Diary | None) -> None:
        spec = self.spec
        pace = Pace(self.total, spec.batch_size)
        try:
            while self.learner.steps < self.total:
                self._epoch(diary, pace)
                self._measure(diary)
        except Interrupted:
            if diary is not None:
                raise

    def _epoch(self, diary: Diary | None, pace: Pace) -> None:
        """The steps that are left of the present epoch."""
        epoch, taken = divmod(self.learner.steps, self.per_epoch)
        order = epoch_order(
            len(self.train),
            self.share * self.group.workers,
            epoch=epoch,
            seed=self.spec.seed,
            rank=self.group.rank,
            workers=self.group.workers,
        )
        batches = load(
            self.train, order[taken:], seed=self.spec.seed + epoch, threads=self._threads
        )
        for batch in self.normalise(batches):
            rate = self.learner.rate
            loss = self.learner.step(batch, self.group.rank)
            pace.stepped()
            if diary and pace.tells():
                diary.write(self._progress(pace, loss, rate))
            if self.learner.steps % self.per_epoch and pace.looks():
                self._obey(diary, pace)

    def _obey(self, diary: Diary | None, pace: Pace) -> None:
        """Do what rank 0 says, on all ranks at the same step. Raises Interrupted."""
        word, steps = self.group.agree([self._word(diary), pace.steps_to_next_look()])
        pace.look_after(int(steps))
        if diary and diary.orders.error:
            raise diary.orders.error
        if word in (SAVE, STOP):
            self._save(diary)
        if word in (STOP, LEAVE):
            raise Interrupted

    def _word(self, diary: Diary | None) -> int:
        if diary is None:
            return GO_ON
        if diary.orders.superseded or diary.orders.error:
            return LEAVE
        if diary.orders.cancel:
            return STOP
        due = time.monotonic() - self.saved > settings().checkpoint_seconds
        return SAVE if due else GO_ON

    def _measure(self, diary: Diary | None) -> None:
        """Validate over all workers, checkpoint, and tell."""
        self.group.average_buffers(self.learner.module)
        order = measured_order(
            len(self.held_out), 2 * self.share, self.group.rank, self.group.workers
        )
        batches = load(self.held_out, order, seed=None, threads=self._threads)
        tally = self.learner.measure(self.normalise(batches))
        sums = self.group.total([tally.examples, tally.correct, tally.loss])
        tally.examples, tally.correct, tally.loss = sums
        self.metrics = tally.metrics
        if not math.isfinite(self.metrics["loss"]):
            raise self._diverged(self.metrics["loss"])
        if diary:
            diary.write(self._event(Kind.EPOCH, loss=self.metrics["loss"], metrics=self.metrics))
        self._save(diary)

    def _progress(self, pace: Pace, loss: Tensor, rate: float) -> Event:
        value = float(loss)
        if not math.isfinite(value):
            raise self._diverged(value)
        return self._event(
            Kind.STEP,
            loss=value,
            lr=rate,
            images_per_second=pace.images_per_second,
            eta_seconds=pace.seconds_left(self.learner.steps),
        )

    def _event(self, kind: Kind, **facts: Any) -> Event:
        steps = self.learner.steps
        return Event(
            kind,
            step=steps,
            total_steps=self.total,
            epoch=(steps - 1) // self.per_epoch + 1 if steps else 1,
            total_epochs=self.spec.epochs,
            **facts,
        )

    def _diverged(self, loss: float) -> TrainingFailed:
        problem = (
            f"the loss became {loss} by step {self.learner.steps} of {self.total}. "
            f"Lower the learning rate (it was {self.spec.lr:g}); the last checkpoint is kept."
        )
        return TrainingFailed(problem=problem)

    # What lasts

    def _restore(self) -> None:
        state = checkpoint.newest(self.store, self.job.id)
        if state is not None:
            self.learner.restore(state["learner"])
            self.metrics = state["metrics"]

    def _save(self, diary: Diary | None) -> None:
        self.group.average_buffers(self.learner.module)
        self.saved = time.monotonic()
        if diary is None:
            return
        state = {"learner": self.learner.state(), "metrics": self.metrics}
        checkpoint.save(self.store, self.job.id, self.learner.steps, state)
        diary.write(self._event(Kind.CHECKPOINT))

    def _stop(self, jobs: Jobs, diary: Diary) -> None:
        if diary.orders.cancel and not diary.orders.superseded:
            try:
                jobs.stop(self.job.id, self.attempt)
            except Superseded:
                return  # it was ended from outside while the checkpoint was written

    def _store_result(self, before: dict[str, Tensor]) -> str:
        """Store the tuned recipe with the tensors that changed or were drawn; returns its id.

        Of what was drawn all is stored: a trained model hangs on no formula.
        """
        after = self.learner.module.state_dict()
        drawn = drawn_names(self.recipe)
        changed = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in after.items()
            if name in drawn or not torch.equal(value, before[name])
        }
        tuned = Tuned(
            job=self.job.id,
            tensors=self.store.put_tensors(changed),
            class_names=self.data.class_names,
            metrics=tuple(sorted(self.metrics.items())),
        )
        result = put_recipe(self.store, self.recipe.with_edit(tuned))
        gradients.keep(self.store, result, self.learner.gradients())
        return result

    # Making

    def _learner(self) -> Learner:
        module = build(self.recipe, self.store)
        heads = head_paths(self.recipe, module, len(self.data.class_names))
        if self.spec.strategy == "probe":
            train_only(module, heads)
        return Learner(
            module,
            make_loss(self.spec.loss, ignore_index=NOTHING_IGNORED),
            strategies.step_config(self.spec, self.total),
            device=self.group.device,
            head=heads,
            wrap=self.group.wrap,
        )

    @cached_property
    def _threads(self) -> int:
        return max(1, (os.cpu_count() or 1) // self.group.workers)
