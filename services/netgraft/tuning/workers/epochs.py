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

import torch
from torch import Tensor

from netgraft.errors import TrainingFailed
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.store.store import Store
from netgraft.tuning.forecast.timings import part
from netgraft.tuning.jobs import events
from netgraft.tuning.jobs.ceilings import deadline, seconds
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.spec import Spec
from netgraft.tuning.train import checkpoint
from netgraft.tuning.train.diagnosis import Unsound
from netgraft.tuning.train.memory import is_out_of_memory
from netgraft.tuning.train.objective import Batch
from netgraft.tuning.train.step import Diverged, Learner
from netgraft.tuning.workers import outcome, remarks
from netgraft.tuning.workers.ceiling import WARM, Ceiling, Costs, steps_that_fit
from netgraft.tuning.workers.choosing import HELD_BACK, Decisions
from netgraft.tuning.workers.group import Group
from netgraft.tuning.workers.measuring import kept_tensors, measured
from netgraft.tuning.workers.prepare import SETTLED_BY, Batches, rounds_of, schedule
from netgraft.tuning.workers.progress import ProgressWriter
from netgraft.tuning.workers.saving import Checkpoints
from netgraft.tuning.workers.souping import souped
from netgraft.tuning.workers.throughput import Throughput

logger = logging.getLogger(__name__)

GO_ON, SAVE, STOP, LEAVE = range(4)
"""Rank 0's command to all: go on; save and go on; save and stop; leave at once."""
FORWARD = 0.5
"""A picture's part of a step without the backward pass, at most."""
STORING_SECONDS = 1.0
"""Until a measurement has shown more."""


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
        self.planned = self.batches.per_epoch * self.spec.epochs
        self.total = self.planned
        self.throughput = Throughput(self.spec.batch_size)
        self.measuring = 0.0
        """Seconds that the last measurement took."""
        ends, span = deadline(self.job, self.spec), seconds(self.spec)
        self.ceiling = Ceiling(ends, span) if ends and span else None

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint. Raises TrainingFailed."""
        self.checkpoints.restore(state)
        self._lay_out(self.decisions.total_steps or self.planned)

    def carry_out(self) -> Decisions:
        """All epochs that are left, each measured at its end. Raises Interrupted."""
        self.saved = time.monotonic()
        self.throughput.start()
        try:
            self._keep_to_ceiling()
            while self.learner.steps < self.total and not self._has_waited():
                self._show_better()
                self._epoch()
                self._measure()
                self._keep_to_ceiling()
            if not self.decisions.best:
                self._measure_what_is_there()
            if not self.decisions.souped and self.ceiling is None:
                self._soup()
        except Diverged as met:
            raise self._diverged(met.value) from met
        return self.decisions

    @property
    def left(self) -> int:
        """Epochs that a ceiling leaves undone."""
        missing = self.planned - self.learner.steps
        cut = self.total < self.planned and not self._has_waited()
        return -(-missing // self.batches.per_epoch) if cut else 0

    def _measure_what_is_there(self) -> None:
        """Measure a run that has taken no step, unless the probe can stand for it."""
        if self.learner.steps == 0 and self.total == 0:
            if self.decisions.probe:
                return
            raise remarks.no_time()
        self._measure()

    def _has_waited(self) -> bool:
        """Return whether the run has gone on for long enough without becoming better.

        Where the rate goes down in rounds, only the end of a round shows that.
        """
        return self._ends_round and 0 < self.spec.patience <= self.decisions.waited

    @property
    def _ends_round(self) -> bool:
        ends = rounds_of(self.spec, self.decisions.first_step)
        epoch, taken = divmod(self.learner.steps, self.batches.per_epoch)
        return len(ends) == 1 or (not taken and epoch in ends)

    def _show_better(self) -> None:
        """Between rounds: hand out a model that is better than those before it."""
        going_on = self.learner.steps and self._ends_round and self.ceiling is None
        if going_on and self.decisions.is_worth_showing:
            self.decisions = self.show(self.decisions)
            self._save()

    def _soup(self) -> None:
        """Try the mean of the last few best weights in place of the best."""
        decisions = souped(
            self.decisions, self.learner, self.batches, self.group, self.store, self.job.id
        )
        if decisions.best != self.decisions.best:
            self._note(outcome.souped(decisions.souped))
        self.decisions = decisions
        if decisions.souped > 1:
            self._save()

    @part("steps")
    def _epoch(self) -> None:
        """The steps that are left of the present epoch."""
        epoch, taken = divmod(self.learner.steps, self.batches.per_epoch)
        throughput = self.throughput
        batches = iter(self.batches.to_train(epoch, taken))
        while self.learner.steps < self.total:
            begun = time.monotonic()
            if (batch := next(batches, None)) is None:
                return
            waited_for_data = time.monotonic() - begun
            if self.learner.steps == 0:
                waited = time.time() - self.job.created
                logger.info("the first batch is there %.2f s after the job was asked for", waited)
            rate = self.learner.rate
            loss = self._step(batch)
            throughput.stepped(waited_for_data)
            if self.writer and throughput.report_is_due():
                self.writer.write(self._progress(loss, rate))
            if self.learner.steps % self.batches.per_epoch and throughput.check_is_due():
                self._obey()

    def _step(self, batch: Batch) -> Tensor:
        """A step, in more parts where memory does not suffice. Raises TrainingFailed."""
        parts = self.learner.parts
        try:
            loss = self.learner.step(batch, self.group.rank)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingFailed(problem=outcome.no_memory(self.spec.batch_size)) from error
        except Diverged as met:
            mine = remarks.where_unsound(self.learner, batch, self.group.rank)
            found = next(filter(None, self.group.gather(mine)), None)
            raise self._diverged(met.value, found) from met
        if self.learner.parts != parts:
            self._note(outcome.in_parts(self.spec.batch_size, self.learner.parts))
        return loss

    @part("measure")
    def _measure(self) -> None:
        """Measure on held-back pictures what would be kept now; write figures and a checkpoint."""
        begun = time.monotonic()
        with self.throughput.paused():
            self._measured()
        self.measuring = time.monotonic() - begun

    def _measured(self) -> None:
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
        self._remark(figures)
        self._save()

    def _remark(self, figures: dict[str, float]) -> None:
        """Say once what the curve so far shows, on all ranks alike."""
        decisions = self.decisions
        curve = [*decisions.curve, (figures["loss"], figures.get(decisions.by, 0.0))]
        remark = remarks.of_curve(curve, decisions.said)
        said = [*decisions.said, *([remark[0]] if remark else [])]
        self.decisions = replace(decisions, curve=curve, said=said)
        if remark:
            self._note(remark[1])

    def _choose(self, figures: dict[str, float], right: list[bool]) -> None:
        if not self.decisions.is_better(figures):
            self.decisions = self.decisions.with_worse()
            return
        steps = self.learner.steps
        tensors = kept_tensors(self.learner.module)
        name = checkpoint.save_best(self.store, self.job.id, steps, tensors)
        epoch = -(-steps // self.batches.per_epoch)
        self.decisions = self.decisions.with_best(name, epoch, figures, right)

    # The ceiling

    def _keep_to_ceiling(self) -> None:
        """Between epochs: go by the steps for which there is time, on all ranks."""
        if self.ceiling:
            (total,) = self.group.agree([self._plan(between=True)])
            if int(total) != self.total:
                self._shorten(int(total))

    def _plan(self, *, between: bool = False) -> int:
        """The step at which the run shall end, by what was measured so far."""
        if self.ceiling is None or not self.group.leads:
            return self.total
        now, left = self.learner.steps, self.ceiling.seconds_left
        if self.throughput.timed < (1 if self.total - now < WARM else WARM):
            return now if left <= self.measuring else self.total
        per_epoch = self.batches.per_epoch
        fits = steps_that_fit(left, self._costs(), per_epoch, now % per_epoch)
        again = bool(self.decisions.total_steps)
        return self.ceiling.plan(now, self.total, self.planned, fits, again=again, between=between)

    def _costs(self) -> Costs:
        """Return what the parts take, as measured; at first, as the time of a step has it."""
        step, roles = self.throughput.steady_seconds, self.batches.roles
        measured = len(roles.held_back) + min(SETTLED_BY, len(roles.fit))
        of_picture = step / self.spec.batch_size * FORWARD
        measuring = self.measuring or measured * of_picture + STORING_SECONDS
        held_out = len(roles.held_out) * max(of_picture, measuring / max(1, measured))
        return Costs(step, measuring, held_out + STORING_SECONDS)

    def _shorten(self, total: int) -> None:
        """Take another plan on, on all ranks, and record it: it hangs on the clock."""
        if total > self.learner.steps:
            seconds_each = self.throughput.steady_seconds if self.throughput.timed > 0 else 0.0
            self._note(remarks.laid_out(total, self.planned, seconds_each))
        self._lay_out(total)
        self.decisions = replace(self.decisions, total_steps=total)
        if self.learner.steps:
            self._save()

    def _lay_out(self, total: int) -> None:
        self.total = total
        first, per_epoch = self.decisions.first_step, self.batches.per_epoch
        rates = schedule(self.spec, total, per_epoch, first)
        self.learner.config = replace(self.learner.config, schedule=rates)

    # Commands of rank 0

    def _obey(self) -> None:
        """Do as rank 0 commands, on all ranks after the same step. Raises Interrupted."""
        mine = [self._command(), self.throughput.steps_to_next_check(), self._plan()]
        command, steps, total = self.group.agree(mine)
        self.throughput.check_after(int(steps))
        if self.writer and self.writer.signals.error:
            raise self.writer.signals.error
        if command in (SAVE, STOP):
            self._save()
        if command in (STOP, LEAVE):
            raise Interrupted
        if int(total) != self.total:
            self._shorten(int(total))

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
            eta_seconds=self._seconds_left(),
            data_wait=self.throughput.data_wait,
            gpu_memory_bytes=self._gpu_memory(),
        )

    def _seconds_left(self) -> float:
        """The time that steps and measurements to come will take."""
        steps = self.total - self.learner.steps
        epochs = -(-steps // self.batches.per_epoch)
        return self.throughput.seconds_for(steps) + epochs * self.measuring

    def _gpu_memory(self) -> int:
        device = self.learner.device
        return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0

    def _event(self, kind: Kind, **facts: Any) -> events.Event:
        steps = self.learner.steps
        return events.Event(
            kind,
            step=steps,
            total_steps=self.total,
            epoch=(steps - 1) // self.batches.per_epoch + 1 if steps else 1,
            total_epochs=-(-self.total // self.batches.per_epoch),
            **facts,
        )

    def _diverged(self, loss: float, found: Unsound | None = None) -> TrainingFailed:
        return remarks.diverged(loss, self.learner.steps, self.total, self.spec, found)

    def _note(self, message: Message) -> None:
        if self.writer:
            self.writer.write(events.Event(Kind.NOTE, message=message))

    def _save(self) -> None:
        """Write a checkpoint of all ranks; it changes nothing. Raises DiskFull."""
        self.learner.must_be_sound()
        self.saved = time.monotonic()
        self.checkpoints.save(decisions=self.decisions.plain(), best=self.decisions.best)
        if self.writer:
            self.writer.write(self._event(Kind.CHECKPOINT))
