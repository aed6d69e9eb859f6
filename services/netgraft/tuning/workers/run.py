"""One rank's work on a job: prepare, train, measure, store the tuned model.

All ranks do the same; rank 0 also writes the progress, the checkpoints and the
result. Knows no Ray, no data set and no task: one rank can run it in-process.
"""

import logging
import math
import time
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from torch import Tensor

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.results.asking import Asker
from netgraft.tuning.results.evaluate import measure
from netgraft.tuning.results.evaluation import evaluate
from netgraft.tuning.results.tuned import answering_for, store_tuned
from netgraft.tuning.train import checkpoint
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.prepare import Batches, learner_for, task_of
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.throughput import Throughput

logger = logging.getLogger(__name__)

GO_ON, SAVE, STOP, LEAVE = range(4)
"""Rank 0's command to all: go on; save and go on; save and stop; leave at once."""


class Interrupted(Exception):
    """The run was asked to stop and has saved its state."""


def run(job_id: str, group: Group, store: Store, ending: Event | None = None) -> None:
    """Train a job to its end, or until it is cancelled or another attempt has taken it over.

    When `ending` is set, by what ends this process, it saves its state and returns: another attempt
    goes on from there.
    Raises NetgraftError for what would fail again in another attempt.
    """
    jobs = Jobs(store)
    attempt = _begin(jobs, job_id, group)
    if attempt:
        Run(jobs.get(job_id), attempt, group, store, ending or Event()).carry_out()


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
    ending: Event = field(default_factory=Event)
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.spec = self.job.spec
        self.recipe = get_recipe(self.store, self.spec.model)
        task = task_of(self.recipe)
        self.batches = Batches(self.spec, self.recipe, task, self.group)
        self.total = self.batches.per_epoch * self.spec.epochs
        self.learner = learner_for(self.spec, self.recipe, task, self.total, self.group, self.store)
        self.throughput = Throughput(self.total, self.spec.batch_size)
        self.saved = time.monotonic()
        self.answering = answering_for(self.spec, self.recipe, self.batches.data, self.store)

    def carry_out(self) -> None:
        """Train what is left; rank 0 also stores the result."""
        if self.group.leads:
            self._lead()
            return
        self._restore()
        try:
            self._train(None)
        except Interrupted:
            return

    def _lead(self) -> None:
        before = {name: value.clone() for name, value in self.learner.module.state_dict().items()}
        self._restore()
        jobs = Jobs(self.store)
        with ProgressWriter(jobs, self.job.id, self.attempt, self.learner.steps) as writer:
            try:
                self._train(writer)
            except Interrupted:
                writer.flush()
                self._stop(jobs, writer)
                return
        if writer.signals.error:
            raise writer.signals.error
        tuned = Tuned(
            job=self.job.id,
            tensors="",
            class_names=self.batches.class_names,
            metrics=tuple(sorted(self.metrics.items())),
            answering=self.answering,
        )
        model = store_tuned(self.recipe, self.learner, before, self.store, tuned)
        jobs.succeed(self.job.id, self.attempt, model, self.metrics)
        checkpoint.clear(self.store, self.job.id)

    # Training

    def _train(self, writer: ProgressWriter | None) -> None:
        """All epochs that are left, each measured at its end. Raises Interrupted."""
        self.throughput.start()
        while self.learner.steps < self.total:
            self._epoch(writer)
            self._measure(writer)
        self.metrics = self._held_out()

    def _epoch(self, writer: ProgressWriter | None) -> None:
        """The steps that are left of the present epoch."""
        epoch, taken = divmod(self.learner.steps, self.batches.per_epoch)
        throughput = self.throughput
        for batch in self.batches.to_train(epoch, taken):
            if self.learner.steps == 0:
                waited = time.time() - self.job.created
                logger.info("the first batch is there %.2f s after the job was asked for", waited)
            rate = self.learner.rate
            loss = self.learner.step(batch, self.group.rank)
            throughput.stepped()
            if writer and throughput.report_is_due():
                writer.write(self._progress(loss, rate))
            if self.learner.steps % self.batches.per_epoch and throughput.check_is_due():
                self._obey(writer)

    def _measure(self, writer: ProgressWriter | None) -> None:
        """Measure on what is held out, over all ranks; write the figures and a checkpoint."""
        self.group.average_buffers(self.learner.module)
        self.metrics = evaluate(self.learner, self.batches.to_measure(), self.group.total)
        if not math.isfinite(self.metrics["loss"]):
            raise self._diverged(self.metrics["loss"])
        if writer:
            writer.write(self._event(Kind.EPOCH, loss=self.metrics["loss"], metrics=self.metrics))
        self._save(writer)

    def _held_out(self) -> dict[str, float]:
        """The figures of what was trained, as `evaluate` and `predict` find them, too."""
        asker = Asker(self.learner.module, self.answering, self.group.device)
        group, classes = self.group, len(self.batches.class_names)
        held_out = self.batches.held_out
        counts = measure(
            asker, held_out, classes, rank=group.rank, ranks=group.workers, total=group.total
        )
        return counts.metrics

    # Commands of rank 0

    def _obey(self, writer: ProgressWriter | None) -> None:
        """Do as rank 0 commands, on all ranks after the same step. Raises Interrupted."""
        mine = [self._command(writer), self.throughput.steps_to_next_check()]
        command, steps = self.group.agree(mine)
        self.throughput.check_after(int(steps))
        if writer and writer.signals.error:
            raise writer.signals.error
        if command in (SAVE, STOP):
            self._save(writer)
        if command in (STOP, LEAVE):
            raise Interrupted

    def _command(self, writer: ProgressWriter | None) -> int:
        if writer is None:
            return GO_ON
        if writer.signals.superseded or writer.signals.error:
            return LEAVE
        if writer.signals.cancel or self.ending.is_set():
            return STOP
        due = time.monotonic() - self.saved > settings().checkpoint_seconds
        return SAVE if due else GO_ON

    def _stop(self, jobs: Jobs, writer: ProgressWriter) -> None:
        if writer.signals.cancel and not writer.signals.superseded:
            try:
                jobs.stop(self.job.id, self.attempt)
            except Superseded:
                return  # it was ended from outside while the checkpoint was written

    # Events and checkpoints

    def _progress(self, loss: Tensor, rate: float) -> events.Event:
        value = float(loss)
        if not math.isfinite(value):
            raise self._diverged(value)
        return self._event(
            Kind.STEP,
            loss=value,
            lr=rate,
            images_per_second=self.throughput.images_per_second,
            eta_seconds=self.throughput.seconds_left(self.learner.steps),
        )

    def _event(self, kind: Kind, **facts: Any) -> events.Event:
        steps = self.learner.steps
        return events.Event(
            kind,
            step=steps,
            total_steps=self.total,
            epoch=(steps - 1) // self.batches.per_epoch + 1 if steps else 1,
            total_epochs=self.spec.epochs,
            **facts,
        )

    def _diverged(self, loss: float) -> TrainingFailed:
        problem = Message(
            "the loss became {loss} by step {step} of {total}. Lower the learning rate (it was "
            "{rate:g}); the last checkpoint is kept.",
            loss=loss,
            step=self.learner.steps,
            total=self.total,
            rate=self.spec.lr,
        )
        return TrainingFailed(problem=problem)

    def _restore(self) -> None:
        """Go on from the newest checkpoint, if there is one. Raises TrainingFailed."""
        state = checkpoint.newest(self.store, self.job.id)
        if state is None:
            return
        try:
            self.learner.restore(state["learner"])
        except ValueError as error:  # torch's, of an optimizer with other groups
            problem = Message(
                "its checkpoint was written by a version of netgraft that took other layers for "
                "the model's head. Start the tuning again with `netgraft finetune`."
            )
            raise TrainingFailed(problem=problem) from error
        self.metrics = state["metrics"]

    def _save(self, writer: ProgressWriter | None) -> None:
        """Make the buffers of all ranks equal; rank 0 writes a checkpoint. Raises DiskFull."""
        self.group.average_buffers(self.learner.module)
        self.saved = time.monotonic()
        if writer is None:
            return
        state = {"learner": self.learner.state(), "metrics": self.metrics}
        checkpoint.save(self.store, self.job.id, self.learner.steps, state)
        writer.write(self._event(Kind.CHECKPOINT))
