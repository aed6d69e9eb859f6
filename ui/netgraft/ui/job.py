"""The state of tuning jobs, gathered from their events: each job is followed by one task.

The task belongs to this process, not to a page: pages come and go, and read what has been
gathered. The server stores the events, so a new gateway gathers the same curve again.
"""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field

from netgraft.errors import NetgraftError, Unreachable
from netgraft.ui.backend import Backend
from netgraft.v1 import tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

logger = logging.getLogger(__name__)

ENDED = {
    tuning_pb2.JOB_STATE_SUCCEEDED,
    tuning_pb2.JOB_STATE_FAILED,
    tuning_pb2.JOB_STATE_CANCELLED,
    tuning_pb2.JOB_STATE_PAUSED,
}
MOST_POINTS = 2000
MOST_NOTES = 20
MOST_JOBS = 100
RETRY_SECONDS = 2.0


@dataclass
class JobView:
    """The state of one job, gathered from its events."""

    id: str
    state: "tuning_pb2.JobState.ValueType" = tuning_pb2.JOB_STATE_UNSPECIFIED
    seq: int = 0
    progress: JobEvent = field(default_factory=JobEvent)
    """The newest event that says how far the job is."""
    training: dict[int, float] = field(default_factory=dict)
    """Step → loss. A step that is repeated after a restart replaces its first value."""
    validation: dict[int, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    result_model: str = ""
    error: str = ""
    """Why the job failed, or why its state cannot be read, as a sentence."""
    reachable: bool = True
    version: int = 0

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def share(self) -> float:
        """Return the share of the job that is done, 0 to 1."""
        if self.state == tuning_pb2.JOB_STATE_SUCCEEDED:
            return 1.0
        total = self.progress.total_steps
        return min(1.0, self.progress.step / total) if total else 0.0

    def add(self, event: JobEvent) -> None:
        """Add an event. An event that is not newer than the last one is ignored."""
        if event.seq <= self.seq:
            return
        self.seq = event.seq
        self.version += 1
        if event.kind == JobEvent.KIND_STATE:
            self.state = event.state
        elif event.kind == JobEvent.KIND_STEP:
            self.progress = event
            self.training[event.step] = event.loss
        elif event.kind == JobEvent.KIND_EPOCH:
            self.validation[event.step] = event.loss
            self.metrics.update(event.metrics)
        if event.message:
            self.notes = [*self.notes, event.message][-MOST_NOTES:]
        if len(self.training) > 2 * MOST_POINTS:
            self.training = dict(sorted(self.training.items())[::2])

    def update(self, job: tuning_pb2.Job) -> None:
        """Update the state, result and error from the job itself."""
        self.version += 1
        self.reachable = True
        self.state = job.state
        self.result_model = job.result_model
        self.error = job.error_message
        self.metrics.update(job.metrics)


class Jobs:
    """The jobs that conversations here have followed recently."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._views: OrderedDict[str, JobView] = OrderedDict()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def view(self, job: str) -> JobView | None:
        """Return what has been gathered so far; None if the job is not followed."""
        return self._views.get(job)

    def follow(self, job: str, language: str) -> JobView:
        """Start gathering a job's events, unless that goes on already. A resumed job continues."""
        view = self._views.setdefault(job, JobView(job))
        self._views.move_to_end(job)
        if job not in self._tasks:
            task = asyncio.create_task(self._gather(view, language), name=f"follow {job}")
            self._tasks[job] = task
            task.add_done_callback(lambda _: self._tasks.pop(job, None))
        self._forget_old()
        return view

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget_old(self) -> None:
        for job in [job for job in self._views if job not in self._tasks][:-MOST_JOBS]:
            del self._views[job]

    async def _gather(self, view: JobView, language: str) -> None:
        tuning = self.backend.client(language).tuning
        while True:
            try:
                view.update(await tuning.GetJob(tuning_pb2.GetJobRequest(id=view.id)))
                watch = tuning_pb2.WatchJobRequest(id=view.id, after_seq=view.seq)
                async for event in tuning.WatchJob(watch):
                    view.add(event)
                view.update(await tuning.GetJob(tuning_pb2.GetJobRequest(id=view.id)))
            except Unreachable:
                view.reachable = False
                view.version += 1
            except NetgraftError as error:
                view.error = error.sentence(language)
                view.version += 1
                return
            if view.ended:
                return
            await asyncio.sleep(RETRY_SECONDS)
