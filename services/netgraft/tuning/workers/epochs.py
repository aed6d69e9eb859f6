"""The epochs of a run on one rank: steps, measurements, checkpoints, and rank 0's commands.

All ranks do the same after the same step; rank 0 also reports and decides. Knows no data set and
no task.
"""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event
from typing import Any

from torch import Tensor

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.forecast.timings import part
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.memory import is_out_of_memory
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.step import Diverged, Learner
from netgraft.tuning.workers import outcome
from netgraft.tuning.workers.choosing import HELD_BACK, Decisions
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.measuring import kept_tensors, measured
from netgraft.tuning.workers.prepare import Batches, rounds_of
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.saving import Checkpoints
from netgraft.tuning.workers.souping import souped
from netgraft.tuning.workers.throughput import Throughput

logger = logging.getLogger(__name__)

GO_ON, SAVE, STOP, LEAVE = range(4)
"""Rank 0's command to all: go on; save and go on; save and stop; leave at once."""


class Interrupted(Exception):
    """The run was asked to stop and has saved its state."""


@dataclass
class Epochs:
    """The training of one attempt, on one rank."""

    job: Job
    spec: Spec
    batches: Batches
    learner: Learner
    decisions: Decisions
    group: Group
    store: Store
    writer: ProgressWriter | None
    ending: Event
    """Set by what ends this process: it then saves its state."""
    show: Callable[[Decisions], Decisions] = lambda decisions: decisions
    """Hands out the best weights as a model before the end."""

    def __post_init__(self) -> None:
        self.checkpoints = Checkpoints(self.store, self.job.id, self.learner, self.group)
        self.total = self.batches.per_epoch * self.spec.epochs
        self.throughput = Throughput(self.total, self.spec.batch_size)
        self.saved = time.monotonic()

    def carry_out(self) -> Decisions:
        """All epochs that are left, each measured at its end. Raises Interrupted."""
        self.saved = time.monotonic()
        self.throughput.start()
        try:
            while not self._has_ended():
                self._epoch()
                self._measure()
            if not self.decisions.best:
                self._measure()
            if not self.decisions.souped:
                self._soup()
        except Diverged as met:
            raise self._diverged(met.value) from met
        return self.decisions

    def _has_ended(self) -> bool:
        """Return whether all is done, or enough without becoming better.

        Where the rate goes down in rounds, only the end of a round tells; a model that is better
        than those before it is handed out there.
        """
        epoch = self.learner.steps // self.batches.per_epoch
        ends = rounds_of(self.spec)
        if len(ends) > 1 and epoch not in ends:
            return False
        if self.learner.steps < self.total and self.decisions.is_worth_showing:
            self.decisions = self.show(self.decisions)
            self._save()
        return self.learner.steps >= self.total or 0 < self.spec.patience <= self.decisions.waited

    @part("steps")
    def _epoch(self) -> None:
        """The steps that are left of the present epoch."""
        epoch, taken = divmod(self.learner.steps, self.batches.per_epoch)
        throughput = self.throughput
        for batch in self.batches.to_train(epoch, taken):
            if self.learner.steps == 0:
                waited = time.time() - self.job.created
                logger.info("the first batch is there %.2f s after the job was asked for", waited)
            rate = self.learner.rate
            loss = self._step(batch)
            throughput.stepped()
            if self.writer and throughput.report_is_due():
                self.writer.write(self._progress(loss, rate))
            if self.learner.steps % self.batches.per_epoch and throughput.check_is_due():
                self._obey()

    def _step(self, batch: Batch) -> Tensor:
        """A step, in more parts where memory does not suffice. Raises TrainingFailed."""
        try:
            loss = self.learner.step(batch, self.group.rank)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingFailed(problem=outcome.no_memory(self.spec.batch_size)) from error
        if self.learner.parts != self.spec.accumulate:
            self.spec = replace(self.spec, accumulate=self.learner.parts)
            if self.writer:
                said = outcome.in_parts(self.spec.batch_size, self.learner.parts)
                self.writer.write(self._event(Kind.NOTE, message=said))
        return loss

    @part("measure")
    def _measure(self) -> None:
        """Measure on held-back pictures what would be kept now; write figures and a checkpoint."""
        self.learner.must_be_sound()
        with self.learner.measurable(self.batches.to_settle(), self.group.average):
            figures, right = measured(self.learner, self.batches.to_choose(), self.group)
            if not math.isfinite(figures["loss"]):
                raise self._diverged(figures["loss"])
            if self.group.leads:
                self._choose(figures, right)
        self.decisions = self.group.share(self.decisions)
        if self.writer:
            few = ("accuracy", "loss", self.decisions.by)
            names = few if "accuracy" in figures else figures  # others are a task's own
            shown = {f"{HELD_BACK}{name}": figures[name] for name in names}
            self.writer.write(self._event(Kind.EPOCH, loss=figures["loss"], metrics=shown))
        self._save()

    def _choose(self, figures: dict[str, float], right: list[bool]) -> None:
        if not self.decisions.is_better(figures):
            self.decisions = self.decisions.with_worse()
            return
        steps = self.learner.steps
        tensors = kept_tensors(self.learner.module)
        name = checkpoint.save_best(self.store, self.job.id, steps, tensors)
        epoch = steps // self.batches.per_epoch
        self.decisions = self.decisions.with_best(name, epoch, figures, right)

    def _soup(self) -> None:
        """Try the mean of the last few best weights in place of the best."""
        decisions = souped(
            self.decisions, self.learner, self.batches, self.group, self.store, self.job.id
        )
        if decisions.best != self.decisions.best and self.writer:
            said = outcome.souped(decisions.souped)
            self.writer.write(self._event(Kind.NOTE, message=said))
        self.decisions = decisions
        if decisions.souped > 1:
            self._save()

    # Commands of rank 0

    def _obey(self) -> None:
        """Do as rank 0 commands, on all ranks after the same step. Raises Interrupted."""
        mine = [self._command(), self.throughput.steps_to_next_check()]
        command, steps = self.group.agree(mine)
        self.throughput.check_after(int(steps))
        if self.writer and self.writer.signals.error:
            raise self.writer.signals.error
        if command in (SAVE, STOP):
            self._save()
        if command in (STOP, LEAVE):
            raise Interrupted

    def _command(self) -> int:
        if self.writer is None:
            return GO_ON
        signals = self.writer.signals
        if signals.superseded or signals.error:
            return LEAVE
        if signals.cancel or self.ending.is_set():
            return STOP
        due = time.monotonic() - self.saved > settings().checkpoint_seconds
        return SAVE if due else GO_ON

    # Events and checkpoints

    def _progress(self, loss: Tensor, rate: float) -> events.Event:
        self.learner.must_be_sound()
        return self._event(
            Kind.STEP,
            loss=float(loss),
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

    def _save(self) -> None:
        """Write a checkpoint of all ranks; it changes nothing. Raises DiskFull."""
        self.learner.must_be_sound()
        self.saved = time.monotonic()
        self.checkpoints.save(decisions=self.decisions.plain(), best=self.decisions.best)
        if self.writer:
            self.writer.write(self._event(Kind.CHECKPOINT))
