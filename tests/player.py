"""Training, played: a launcher that writes a job's life into the database.

It stands in the place of Ray's processes, which tests/e2e has. What it writes, it writes as a
run does; the tuned model that it leaves is a real recipe with tensors in the store.
"""

import threading

from netgraft.errors import TrainingFailed
from netgraft.models.build import build
from netgraft.models.edits.tuned import Tuned
from netgraft.models.recipes import get_recipe, put_recipe
from netgraft.models.values import drawn_names
from netgraft.store.store import default_store
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.jobs.launcher import Capacity

STEPS = 20
ACCURACY = 0.95


class Player:
    """A launcher whose jobs live in threads.

    A job takes `pause_after` of its steps, waits for `may_end`, takes the rest and ends.
    """

    def __init__(self, pause_after: int = STEPS, epochs: int = 1) -> None:
        self.store = default_store()
        self.jobs = Jobs(self.store)
        self.pause_after = pause_after
        self.epochs = epochs
        self.may_end = threading.Event()
        self.fails = False
        self.is_full = False
        """Whether jobs stay in the queue."""
        self.threads: list[threading.Thread] = []

    def capacity(self) -> Capacity:
        return Capacity(cpus=2, gpus=0)

    def submit(self, job_id: str, submission: str) -> None:
        if self.is_full:
            return
        self.threads.append(threading.Thread(target=self._live, args=(job_id,)))
        self.threads[-1].start()

    def stop(self, submission: str) -> None:
        self.may_end.set()

    def finish(self) -> None:
        """Let all jobs end, and wait until they have; those to come wait again."""
        self.may_end.set()
        while self.threads:
            self.threads.pop().join(30)
        self.may_end.clear()

    def _live(self, job_id: str) -> None:
        try:
            attempt = self.jobs.begin(job_id)
            self.jobs.trains(job_id, attempt, self.jobs.get(job_id).resolved)
            self._steps(job_id, attempt, range(1, self.pause_after + 1))
            while not self.may_end.wait(0.02):
                if self.jobs.record(job_id, attempt, []):  # somebody asked to cancel
                    self.jobs.stop(job_id, attempt)
                    return
            if self.fails:
                self.jobs.fail(job_id, attempt, TrainingFailed(problem="the loss is NaN."))
                return
            self._steps(job_id, attempt, range(self.pause_after + 1, STEPS + 1))
            self._epoch(job_id, attempt, STEPS)
            self.jobs.succeed(job_id, attempt, self._tuned(job_id), {"accuracy": ACCURACY})
        except Superseded:
            return

    def _steps(self, job_id: str, attempt: int, steps: range) -> None:
        for step in steps:
            known = {**self._known(step, attempt), "images_per_second": 321.0}
            event = Event(Kind.STEP, step=step, loss=1 / step, **known)
            self.jobs.record(job_id, attempt, [event])
            if step % (STEPS // self.epochs) == 0 and step < STEPS:
                self._epoch(job_id, attempt, step)

    def _epoch(self, job_id: str, attempt: int, step: int) -> None:
        metrics = {"accuracy": ACCURACY * step / STEPS}
        event = Event(Kind.EPOCH, metrics=metrics, **self._known(step, attempt))
        self.jobs.record(job_id, attempt, [event])

    def _known(self, step: int, attempt: int) -> dict[str, int]:
        epoch = 1 + (step - 1) * self.epochs // STEPS
        figures = {"total_steps": STEPS, "total_epochs": self.epochs}
        return {"attempt": attempt, "epoch": epoch, **figures}

    def _tuned(self, job_id: str) -> str:
        """Store the job's model with every tensor that was drawn, and return its id."""
        recipe = get_recipe(self.store, self.jobs.get(job_id).spec.model)
        state = build(recipe, self.store).state_dict()
        changed = {name: state[name].contiguous() for name in drawn_names(recipe)}
        metrics = (("accuracy", ACCURACY),)
        tensors = self.store.put_tensors(changed)
        tuned = Tuned(job=job_id, tensors=tensors, class_names=(), metrics=metrics)
        return put_recipe(self.store, recipe.with_edit(tuned))
