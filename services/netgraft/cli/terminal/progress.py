"""A job's events as a progress bar on a terminal, as lines elsewhere.

Knows nothing of where the events come from.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import duration, size
from netgraft.cli.terminal.view import figures, state_name

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from netgraft.v1 import tuning_pb2

WAITS = 0.05
"""Share of the time from which on it is worth a word that a run waits for its data."""
LINE_SECONDS = 10.0
"""Least time between two lines about steps."""


class JobView(Protocol):
    """A view of a job's events."""

    def add(self, event: "tuning_pb2.JobEvent") -> None: ...


@contextmanager
def job_view(out: "Console", job: str) -> Iterator[JobView]:
    """Open a view on `out`: a live bar if it is a terminal, else lines."""
    if not out.is_terminal:
        yield LineView(out, job)
        return
    with _progress(out) as progress:
        yield BarView(progress, job)


def lasting_line(event: "tuning_pb2.JobEvent") -> str:
    """Return an event's line that stays on the screen: an epoch's figures, a note; else ""."""
    from netgraft.v1 import tuning_pb2

    if event.kind == tuning_pb2.JobEvent.KIND_EPOCH:
        epoch = _epoch(event)
        known = dict(event.metrics)
        if event.loss and "held_back_loss" not in known:
            known.setdefault("loss", event.loss)
        return "  ".join(part for part in (epoch, figures(known), _speed(event)) if part)
    if event.kind in (tuning_pb2.JobEvent.KIND_NOTE, tuning_pb2.JobEvent.KIND_MODEL):
        return event.message
    if event.kind == tuning_pb2.JobEvent.KIND_STATE and event.message:
        return event.message
    return ""


def _speed(event: "tuning_pb2.JobEvent") -> str:
    rate = event.images_per_second
    return tr("{rate:.4g} images/s", rate=rate) if rate else ""


def _epoch(event: "tuning_pb2.JobEvent") -> str:
    return tr("epoch {epoch}/{total}", epoch=event.epoch, total=event.total_epochs)


def _step(event: "tuning_pb2.JobEvent") -> str:
    parts = (
        tr("step {step}/{total}", step=event.step, total=event.total_steps),
        _epoch(event),
        tr("loss {loss:.4f}", loss=event.loss),
        _speed(event),
        _wait(event),
        tr("memory {size}", size=size(_memory(event))) if event.memory_bytes else "",
        tr("left {time}", time=duration(event.eta_seconds)) if event.eta_seconds else "",
    )
    return "  ".join(part for part in parts if part)


def _wait(event: "tuning_pb2.JobEvent") -> str:
    share = event.data_wait
    return tr("waiting for data {share:.0%}", share=share) if share >= WAITS else ""


def _memory(event: "tuning_pb2.JobEvent") -> int:
    return event.memory_bytes + event.gpu_memory_bytes


class LineView:
    """Lines for logs and pipes: states, epochs, notes, and a step every LINE_SECONDS."""

    def __init__(self, out: "Console", job: str) -> None:
        self._out = out
        self._job = job
        self._last = -LINE_SECONDS

    def add(self, event: "tuning_pb2.JobEvent") -> None:
        from netgraft.v1 import tuning_pb2

        if event.kind == tuning_pb2.JobEvent.KIND_STATE:
            self._print(f"{self._job} {state_name(event.state)}")
        if line := lasting_line(event):
            self._print(line)
        if event.kind == tuning_pb2.JobEvent.KIND_STEP and self._due(event):
            self._print(_step(event))

    def _due(self, event: "tuning_pb2.JobEvent") -> bool:
        now = time.monotonic()
        if event.step != event.total_steps and now - self._last < LINE_SECONDS:
            return False
        self._last = now
        return True

    def _print(self, line: str) -> None:
        self._out.print(line, soft_wrap=True)


class BarView:
    """A live bar over all steps, with loss and images per second; lasting lines are above it."""

    def __init__(self, progress: "Progress", job: str) -> None:
        self._progress = progress
        self._job = job
        self._task = progress.add_task(job, total=None, state="")

    def add(self, event: "tuning_pb2.JobEvent") -> None:
        from netgraft.v1 import tuning_pb2

        if line := lasting_line(event):
            self._progress.console.print(line, soft_wrap=True)
        if event.kind == tuning_pb2.JobEvent.KIND_STATE:
            described = f"{self._job} {state_name(event.state)}"
            self._progress.update(self._task, description=described)
        if event.total_steps:
            self._progress.update(self._task, total=event.total_steps, completed=event.step)
        if event.kind == tuning_pb2.JobEvent.KIND_STEP:
            self._progress.update(self._task, state=_step(event))


def _progress(out: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[state]}"),
        console=out,
    )
