"""One rank's work on a job: prepare, train, choose, measure, store the tuned model.

All ranks do the same; rank 0 also writes the progress, the checkpoints and the
result. Knows no Ray, no data set and no task: one rank can run it in-process.
"""

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from torch import Tensor, nn

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.models.recipes import get_recipe
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.jobs.spec import CONVERGED
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.features import FrozenForm, NotLinear
from netgraft.tuning.train.step import Diverged
from netgraft.tuning.workers import outcome
from netgraft.tuning.workers.choosing import (
    HELD_BACK,
    Decisions,
    could_be_beyond_chance,
    criterion,
    is_beyond_chance,
)
from netgraft.tuning.workers.group import Group, LeaderFailed
from netgraft.tuning.workers.measuring import kept_tensors, measured
from netgraft.tuning.workers.prepare import learner_for, module_for, task_of
from netgraft.tuning.workers.preparing import Preparing
from netgraft.tuning.workers.probing import Probing
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.results import Results
from netgraft.tuning.workers.saving import Checkpoints
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

    def carry_out(self) -> None:
        """Prepare, train what is left, and on rank 0 store the result."""
        with self._reporting() as writer:
            try:
                self._prepare(writer)
                self._train(writer)
                self._finish(writer)
            except Interrupted:
                if writer:
                    writer.flush()
                    self._stop(writer)
            except (LeaderFailed, Superseded):
                return
        if writer and writer.signals.error:
            raise writer.signals.error

    @contextmanager
    def _reporting(self) -> Iterator[ProgressWriter | None]:
        if not self.group.leads:
            yield None
            return
        with ProgressWriter(Jobs(self.store), self.job.id, self.attempt) as writer:
            yield writer

    # Preparing

    def _prepare(self, writer: ProgressWriter | None) -> None:
        recipe = get_recipe(self.store, self.job.spec.model)
        task = task_of(recipe)
        ready = Preparing(self.job, recipe, task, self.group, self.store, writer)
        self.spec, self.batches = ready.read()
        self.recipe, self.task = recipe, task
        self.decisions = Decisions(by=criterion(self.batches.counts))
        module, heads = module_for(self.spec, recipe, self.store)
        self.results = Results(self.job.id, recipe, self.batches, self.group, self.store, module)
        self.total = self.batches.per_epoch * self.spec.epochs
        self.throughput = Throughput(self.total, self.spec.batch_size)
        state = checkpoint.newest(self.store, self.job.id)
        if state is not None and "decisions" in state:
            self.decisions = Decisions.from_plain(state["decisions"])
        elif self.spec.strategy == "auto" or self.spec.optimizer == CONVERGED:
            self._probe(writer, module, heads)
        if self._trains:
            self.spec = ready.formed(self.spec, self.batches, module)
            self.learner = learner_for(self.spec, module, heads, task, self.total, self.group)
            self.checkpoints = Checkpoints(self.store, self.job.id, self.learner, self.group)
            if state is not None:
                self.checkpoints.restore(state)
            elif self.decisions.probe:
                self._start_from_probe(heads[0])
        self.saved = time.monotonic()
        if writer:
            writer.first_step = self.learner.steps if self._trains else 0
            writer.flush()
            resolved = ready.resolved(self.spec)
            Jobs(self.store).trains(self.job.id, self.attempt, resolved)

    def _probe(
        self, writer: ProgressWriter | None, module: nn.Module, heads: Sequence[str]
    ) -> None:
        """Make the probe, and store it as the first model."""
        decisions, spec = self.decisions, self.spec
        made = self._probing().carry_out(module, heads, spec.features)
        if isinstance(made, NotLinear):
            self._note(
                writer, Message("There is no probe of this model: {because}", because=made.because)
            )
            return
        form = FrozenForm.parse(made.form)
        made.whole.write(module, made.path)
        answering = replace(
            self.results.answering(spec),
            temperature=made.temperature,
            strategy="probe",
            precision=form.precision,
            channels_last=form.channels_last,
        )
        metrics = self.results.held_out(module, answering)
        model = self.results.stored(module, answering, metrics) if writer else ""
        if writer:
            writer.write(
                events.Event(
                    Kind.MODEL, model=model, metrics=metrics, message=outcome.first(metrics, model)
                )
            )
        self.spec = replace(spec, features=made.form)
        self.decisions = replace(
            decisions,
            probe=self.group.share(model),
            probe_metrics=metrics,
            probe_figures=made.figures,
            probe_right=made.right,
        )
        if not self._trains and spec.strategy == "auto":
            self._note(writer, outcome.nothing_to_show(made.right))

    def _start_from_probe(self, head: str) -> None:
        """Give the learner settled norms, and the head that fits them."""
        learner = self.learner
        learner.settle(self.batches.to_settle(), self.group.average)
        start = self._probing().start(learner.module, head, self.spec.features)
        start.write(learner.module, head)
        learner.averages.restore()

    def _probing(self) -> Probing:
        side = self.spec.image_size
        return Probing(self.batches, self.task, self.group, self.decisions.by, side)

    @property
    def _trains(self) -> bool:
        """Return whether anything is left to do after the probe."""
        if not self.decisions.probe:
            return True
        if self.spec.optimizer == CONVERGED:
            return False
        # Epochs that somebody asked for are done, whatever they may show.
        return not self.spec.patience or could_be_beyond_chance(self.decisions.probe_right)

    def _note(self, writer: ProgressWriter | None, message: Message) -> None:
        if writer:
            writer.write(events.Event(Kind.NOTE, message=message))

    # Training

    def _train(self, writer: ProgressWriter | None) -> None:
        """All epochs that are left, each measured at its end. Raises Interrupted."""
        if not self._trains:
            return
        self.throughput.start()
        try:
            while self.learner.steps < self.total and not self._has_waited():
                self._epoch(writer)
                self._measure(writer)
            if not self.decisions.best:
                self._measure(writer)
        except Diverged as met:
            raise self._diverged(met.value) from met

    def _has_waited(self) -> bool:
        """Return whether the run has gone on for long enough without becoming better."""
        return 0 < self.spec.patience <= self.decisions.waited

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
        """Measure on held-back pictures what would be kept now; write figures and a checkpoint."""
        self.learner.must_be_sound()
        with self.learner.measurable(self.batches.to_settle(), self.group.average):
            figures, right = measured(self.learner, self.batches.to_choose(), self.group)
            if not math.isfinite(figures["loss"]):
                raise self._diverged(figures["loss"])
            if self.group.leads:
                self._choose(figures, right)
        self.decisions = self.group.share(self.decisions)
        if writer:
            few = ("accuracy", "loss", self.decisions.by)
            names = few if "accuracy" in figures else figures  # others are a task's own
            shown = {f"{HELD_BACK}{name}": figures[name] for name in names}
            writer.write(self._event(Kind.EPOCH, loss=figures["loss"], metrics=shown))
        self._save(writer)

    def _choose(self, figures: dict[str, float], right: list[bool]) -> None:
        if not self.decisions.is_better(figures):
            self.decisions = self.decisions.with_worse()
            return
        steps = self.learner.steps
        tensors = kept_tensors(self.learner.module)
        name = checkpoint.save_best(self.store, self.job.id, steps, tensors)
        epoch = steps // self.batches.per_epoch
        self.decisions = self.decisions.with_best(name, epoch, figures, right)

    # The result

    def _finish(self, writer: ProgressWriter | None) -> None:
        """Hand back the better of the probe and the best weights, measured on what is held out."""
        decisions = self.decisions
        model, metrics = decisions.probe, decisions.probe_metrics
        if self._trains:
            better = not model or is_beyond_chance(decisions.right, decisions.probe_right)
            if model:
                self._note(writer, outcome.compared(decisions.right, decisions.probe_right))
            if better:
                model, metrics = self._best()
        if writer:
            writer.flush()  # nothing can be written any more once the job has ended
            Jobs(self.store).succeed(self.job.id, self.attempt, model, metrics)
            checkpoint.clear(self.store, self.job.id)

    def _best(self) -> tuple[str, dict[str, float]]:
        """The best weights as a stored model, and its figures on what is held out."""
        best = checkpoint.best(self.store, self.job.id, self.decisions.best)
        if best is None:
            raise RuntimeError("the best weights were damaged after they had been written")
        module = self.learner.module
        module.load_state_dict(best, strict=False)
        answering = self.results.answering(self.spec)
        metrics = self.results.held_out(module, answering, self.learner)
        if not self.group.leads:
            return "", metrics
        return self.results.stored(module, answering, metrics, self.learner.gradients()), metrics

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

    def _stop(self, writer: ProgressWriter) -> None:
        if writer.signals.cancel and not writer.signals.superseded:
            try:
                Jobs(self.store).stop(self.job.id, self.attempt)
            except Superseded:
                return  # it was ended from outside while the checkpoint was written

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

    def _save(self, writer: ProgressWriter | None) -> None:
        """Write a checkpoint of all ranks; it changes nothing. Raises DiskFull."""
        self.learner.must_be_sound()
        self.saved = time.monotonic()
        self.checkpoints.save(decisions=self.decisions.plain(), best=self.decisions.best)
        if writer:
            writer.write(self._event(Kind.CHECKPOINT))
