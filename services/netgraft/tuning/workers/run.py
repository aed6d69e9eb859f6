"""One rank's work on a job: prepare, make the probe, train, hand over the better model.

All ranks do the same; rank 0 also writes the progress, the checkpoints and the
result. Knows no Ray, no data set and no task: one rank can run it in-process.
"""

import copy
import math
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Any

from torch import nn

from netgraft.language import Message
from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store
from netgraft.tuning.board import closing
from netgraft.tuning.forecast.timings import part, timed
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.ceilings import deadline
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.jobs.spec import CONVERGED
from netgraft.tuning.results.varied import keep_sheet
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.features import FrozenForm, NotLinear
from netgraft.tuning.train.step import Learner
from netgraft.tuning.workers import outcome, remarks
from netgraft.tuning.workers.choosing import (
    HELD_BACK,
    Decisions,
    could_be_beyond_chance,
    criterion,
    is_beyond_chance,
)
from netgraft.tuning.workers.epochs import Epochs, Interrupted
from netgraft.tuning.workers.expecting import Expecting
from netgraft.tuning.workers.group import Group, LeaderFailed
from netgraft.tuning.workers.prepare import learner_for, module_for, task_of
from netgraft.tuning.workers.preparing import Preparing
from netgraft.tuning.workers.probing import Probe, Probing
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.results import Results


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
    left: int = 0
    """Epochs that a ceiling leaves undone."""

    def carry_out(self) -> None:
        """Prepare, train what is left, and on rank 0 store the result."""
        with self._reporting() as writer, timed() as watch:
            self.writer = writer
            self.expecting = Expecting(self.job, self.attempt, self.store, watch)
            try:
                training = self._prepare()
                if training:
                    self.decisions = training.carry_out()
                self._finish(training)
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
        here = socket.gethostname(), os.getpid()
        ranks = self.group.gather(here)
        if not self.group.leads:
            yield None
            return
        near = [process for host, process in ranks if host == here[0]]
        with ProgressWriter(Jobs(self.store), self.job.id, self.attempt, near) as writer:
            yield writer

    # Preparing

    def _prepare(self) -> Epochs | None:
        """Everything before the first step; the training that is left, if any is."""
        recipe = get_recipe(self.store, self.job.spec.model)
        task = task_of(recipe)
        ready = Preparing(self.job, recipe, task, self.group, self.store, self.writer)
        self.spec, self.batches = ready.read()
        self.task = task
        self.decisions = Decisions(by=criterion(self.batches.counts))
        module, heads = module_for(self.spec, recipe, self.store)
        self.results = Results(self.job.id, recipe, self.batches, self.group, self.store, module)
        state = checkpoint.newest(self.store, self.job.id) or {}
        if "decisions" in state:
            self.decisions = Decisions.from_plain(state["decisions"])
            known = self.spec.features or state.get("features", "")
            self.spec = replace(self.spec, features=known)
        self._take_on(state)
        if not state and self._left_over(0.0) <= 0:  # such as after a long wait for its turn
            raise remarks.no_time()
        begun = time.monotonic()
        probes = self.spec.strategy == "auto" or self.spec.optimizer == CONVERGED
        if probes and "decisions" not in state:
            self._probe(module, heads)
        training = None
        needed = time.monotonic() - begun
        if self._trains and ("learner" in state or self._has_time(needed)):
            self.spec = ready.formed(self.spec, self.batches, module)
            training = self._training(module, heads)
            if "learner" in state:
                training.restore(state)
            elif self.decisions.probe:
                self._start_from_probe(training.learner, heads[0])
        if self.writer and training and "learner" not in state:
            fit, examples = self.batches.roles.fit, self.batches.examples
            keep_sheet(self.store, self.job.id, examples, fit, self.spec.seed)
        if self.writer:
            self.writer.first_step = training.learner.steps if training else 0
            self.writer.must_be_stored()
            resolved = ready.resolved(self.spec)
            Jobs(self.store).trains(self.job.id, self.attempt, resolved)
        return training

    def _has_time(self, needed: float) -> bool:
        """Return whether the ceiling leaves so many seconds, or there is no model yet.

        Training begins with a pass like that of the probe.
        """
        if self._left_over(needed) > 0 or not self.decisions.probe:
            return True
        self.left = self.spec.epochs
        self._note(remarks.at_ceiling(self.spec, 0, self.spec.epochs))
        return False

    def _left_over(self, needed: float) -> float:
        """Seconds that the ceiling leaves after so many; the same on all ranks."""
        ends = deadline(self.job, self.spec)
        return self.group.agree([math.inf if ends is None else ends - time.time() - needed])[0]

    def _take_on(self, state: dict[str, Any]) -> None:
        """Take on what the job was asked for since its checkpoint: more epochs, other ceilings."""
        asked = self.job.resolved.resumed
        if asked.since != self.decisions.since:
            self.decisions = replace(self.decisions, since=asked.since, total_steps=0)
        if asked.times == self.decisions.restarts:
            return
        step = state["learner"]["steps"] if "learner" in state else 0
        self.decisions = replace(
            self.decisions, restarts=asked.times, first_step=step, waited=0, souped=0
        )
        self.spec = replace(self.spec, epochs=step // self.batches.per_epoch + asked.epochs)
        self._note(remarks.goes_on(step, asked.epochs))

    def _training(self, module: nn.Module, heads: Sequence[str]) -> Epochs:
        batches, spec = self.batches, self.spec
        total = batches.per_epoch * spec.epochs
        learner = learner_for(spec, module, heads, self.task, total, self.group, batches.counts)
        return Epochs(
            job=self.job,
            spec=spec,
            batches=batches,
            learner=learner,
            decisions=self.decisions,
            group=self.group,
            store=self.store,
            writer=self.writer,
            ending=self.ending,
            show=lambda decisions: self._show(decisions, learner),
        )

    def _probe(self, module: nn.Module, heads: Sequence[str]) -> None:
        """Make the probe, and store it as the first model."""
        decisions, spec = self.decisions, self.spec
        made = self._probing().carry_out(module, heads, spec.features)
        if isinstance(made, NotLinear):
            self._note(Message("There is no probe of this model: {because}", because=made.because))
            return
        self._expect(made)
        form = FrozenForm.parse(made.form)
        made.whole.write(module, made.path)
        answering = replace(
            self.results.answering(spec),
            temperature=made.temperature,
            strategy="probe",
            precision=form.precision,
            channels_last=form.channels_last,
        )
        with part("answers"):
            metrics = self.results.held_out(module, answering)
            model = self.results.stored(module, answering, metrics) if self.writer else ""
        if self.writer:
            chosen_by = {HELD_BACK + name: value for name, value in made.figures.items()}
            said = outcome.first(metrics, model)
            self.writer.write(
                events.Event(Kind.MODEL, model=model, metrics=metrics | chosen_by, message=said)
            )
        self.spec = replace(spec, features=made.form)
        self.decisions = replace(
            decisions,
            probe=self.group.share(model),
            probe_metrics=metrics,
            probe_figures=made.figures,
            probe_right=made.right,
        )
        if self.writer:  # an attempt that goes on from here makes no second one
            self.writer.must_be_stored()
            plain = {"decisions": self.decisions.plain(), "best": "", "features": made.form}
            checkpoint.save(self.store, self.job.id, 0, plain)
        if not self._trains and spec.strategy == "auto":
            self._note(outcome.nothing_to_show(made.right))

    def _expect(self, made: Probe) -> None:
        """Say what is to be expected now that the probe is there, and keep it."""
        if self.writer:
            trains = self._trains_after(made.right)
            if said := self.expecting.after_probe(self.spec, made.out_of_fold, trains=trains):
                self._note(said)

    @part("settle")
    def _start_from_probe(self, learner: Learner, head: str) -> None:
        """Give the learner settled norms, and the head that fits them."""
        learner.settle(self.batches.to_settle(), self.group.average)
        start = self._probing().start(learner.module, head, self.spec.features, self.spec.mirror)
        start.head.write(learner.module, head)
        learner.averages.restore()
        if self.spec.mirror is None and not start.mirror:
            self._note(outcome.MIRROR_HURTS)
        self.spec = replace(self.spec, mirror=start.mirror)
        self.batches.vary(self.spec)

    def _probing(self) -> Probing:
        side = self.spec.image_size
        return Probing(self.batches, self.task, self.group, self.decisions.by, side)

    @property
    def _trains(self) -> bool:
        """Return whether anything is left to do after the probe."""
        return not self.decisions.probe or self._trains_after(self.decisions.probe_right)

    def _trains_after(self, right: Sequence[bool]) -> bool:
        """Return whether anything is trained after a probe that answers these rightly."""
        if self.spec.optimizer == CONVERGED:
            return False
        # Epochs that somebody asked for are done, whatever they may show.
        return not self.spec.patience or could_be_beyond_chance(right)

    def _note(self, message: Message) -> None:
        if self.writer:
            self.writer.write(events.Event(Kind.NOTE, message=message))

    # The result

    def _finish(self, training: Epochs | None) -> None:
        """Hand back the better of the probe and the best weights, measured on what is held out."""
        decisions = self.decisions
        model, metrics = decisions.probe, decisions.probe_metrics
        if training and training.left:
            self.left = training.left
            done = training.learner.steps / self.batches.per_epoch
            self._note(remarks.at_ceiling(self.spec, done, self.spec.epochs))
        if training and decisions.best:
            better = not model or is_beyond_chance(decisions.right, decisions.probe_right)
            if model:
                self._note(outcome.compared(decisions.right, decisions.probe_right))
            if better and decisions.shown and decisions.shown_best == decisions.best:
                model, metrics = decisions.shown, decisions.shown_metrics
            elif better:
                model, metrics = self._best(decisions, training.learner)
        if self.writer:
            self.writer.must_be_stored()  # once the job has ended nothing can be written
            Jobs(self.store).succeed(self.job.id, self.attempt, model, metrics, self.left)
            checkpoint.keep_last(self.store, self.job.id)
            self.expecting.over(metrics)
            closing.write(Jobs(self.store).get(self.job.id), self.store)

    def _show(self, decisions: Decisions, learner: Learner) -> Decisions:
        """Hand out the best weights so far as a model; the learner stays as it is."""
        model, metrics = self._best(decisions, learner)
        model = self.group.share(model)
        if self.writer:
            said = outcome.better(metrics, model)
            self.writer.write(events.Event(Kind.MODEL, model=model, metrics=metrics, message=said))
        return decisions.with_shown(model, metrics)

    @part("result")
    def _best(self, decisions: Decisions, learner: Learner) -> tuple[str, dict[str, float]]:
        """The best weights as a stored model, and its figures on what is held out."""
        best = checkpoint.best(self.store, self.job.id, decisions.best)
        if best is None:
            raise RuntimeError("the best weights were damaged after they had been written")
        module = copy.deepcopy(learner.module)
        module.load_state_dict(best, strict=False)
        answering = self.results.answering(self.spec)
        metrics = self.results.held_out(module, answering, learner)
        if not self.group.leads:
            return "", metrics
        return self.results.stored(module, answering, metrics, learner.gradients()), metrics

    def _stop(self, writer: ProgressWriter) -> None:
        if writer.signals.cancel and not writer.signals.superseded:
            try:
                Jobs(self.store).stop(self.job.id, self.attempt)
            except Superseded:
                return  # it was ended from outside while the checkpoint was written
