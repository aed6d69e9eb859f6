"""The progress of a plan that is carried out: as lines and bars for people, as JSON for programs.

Knows nothing of planning and consent.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol

import click

from netgraft.cli.terminal.expected import forecast_view
from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.measured import evaluation_view, predictions_view
from netgraft.cli.terminal.output import duration, emit_line
from netgraft.cli.terminal.progress import JobView, job_view
from netgraft.cli.terminal.view import diff_view, figures, models_view
from netgraft.errors import NetgraftError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console, RenderableType

    from netgraft.v1 import agent_pb2, tuning_pb2


class Outcome:
    """The outcome of a plan, collected from its events."""

    def __init__(self) -> None:
        self.failure: agent_pb2.StepFailed | None = None
        self.job_id = ""
        """The job that is being followed; empty when there is none."""
        self.job: tuning_pb2.Job | None = None
        """The last job that a step finished with."""
        self.model_id = ""
        self.pages: list[str] = []
        """Paths of the graph pages of all models that were drawn or made, in order."""
        self.finished = 0

    def add(self, event: "agent_pb2.RunEvent") -> None:
        kind = event.WhichOneof("event")
        if kind == "progress":
            self.job_id = event.progress.job_id or self.job_id
        elif kind == "failed":
            self.failure = event.failed
        elif kind == "finished":
            self._finish(event.finished)

    def _finish(self, step: "agent_pb2.StepFinished") -> None:
        self.finished += 1
        self.job_id = ""
        self.model_id = step.model_id or self.model_id
        result = step.WhichOneof("result")
        if result == "job":
            self.job = step.job
            if step.job.result_model:
                self.pages.append(f"/viz/{step.job.result_model}/")
        elif result == "edit":
            self.pages.append(f"/viz/{step.edit.model.id}/")
        elif result == "graph":
            self.pages.append(step.graph.page)


class PlanView(Protocol):
    """A view of a plan's events."""

    def add(self, event: "agent_pb2.RunEvent") -> None: ...

    def close(self) -> None: ...


def show_events(
    events: "Iterable[agent_pb2.RunEvent]", view: PlanView, leave: "Callable[[str], str]"
) -> Outcome:
    """Show all events; return the outcome of the plan.

    When they break off (Ctrl-C, the server went away), `leave` is called with the id of the job
    that is left, and says what becomes of it.
    """
    outcome = Outcome()
    try:
        for event in events:
            outcome.add(event)
            view.add(event)
    except (KeyboardInterrupt, NetgraftError):
        view.close()
        if outcome.job_id:
            click.echo(leave(outcome.job_id), err=True)
        raise
    finally:
        view.close()
    return outcome


class JsonView:
    """Prints every event as one line of JSON."""

    def add(self, event: "agent_pb2.RunEvent") -> None:
        emit_line(event)

    def close(self) -> None:
        """Do nothing: a line of JSON is complete at once."""


class TextView:
    """Prints steps as lines, jobs as bars. `web` turns a page's path into its address, or ""."""

    def __init__(self, out: "Console", web: "Callable[[str], str]") -> None:
        self._out = out
        self._web = web
        self._open = ExitStack()
        self._job: JobView | None = None

    def add(self, event: "agent_pb2.RunEvent") -> None:
        kind = event.WhichOneof("event")
        if kind == "started":
            started = event.started
            self._line(f"▸ {started.index}/{started.total} {started.title}", "bold")
        elif kind == "progress":
            self._advance(event.progress)
        elif kind == "finished":
            self.close()
            self._finish(event.finished)
        elif kind == "failed":
            self.close()
            self._line(f"✗ {event.failed.message} ({event.failed.reason})", "red")

    def close(self) -> None:
        """End a bar that is still shown."""
        self._open.close()
        self._job = None

    def _advance(self, progress: "agent_pb2.StepProgress") -> None:
        if not progress.job_id:
            return
        if self._job is None:
            self._job = self._open.enter_context(job_view(self._out, progress.job_id))
        self._job.add(progress.event)

    def _finish(self, step: "agent_pb2.StepFinished") -> None:
        took = f" ({duration(step.seconds)})" if step.seconds else ""
        summary, *more = step.summary.splitlines() or [""]
        self._line(f"✓ {summary}{took}", "green")
        for line in (*more, *self._details(step)):
            self._line(f"  {line}")
        for part in _tables(step):
            self._out.print(part)

    def _details(self, step: "agent_pb2.StepFinished") -> list[str]:
        """Return lines that the summary lacks: addresses and full ids."""
        model = tr("model {id}", id=step.model_id)
        result = step.WhichOneof("result")
        if result == "graph":
            page = self._web(step.graph.page)
            return [page or f"netgraft show {step.graph.model_id} -o graph.html"]
        if result == "edit":
            return [model]
        if result == "job" and step.job.result_model:
            return [figures(step.job.metrics), model]
        if result == "export":
            model, form = step.export.model_id, step.export.format
            command = f"netgraft export {model} --format {form}"
            if form in ("svg", "png"):
                command = f"netgraft show {model} -o graph.{form}"
            page = self._web(step.export.page)
            return [page, tr("or: {command}", command=command)] if page else [command]
        return []

    def _line(self, text: str, style: str = "") -> None:
        self._out.print(text, style=style, soft_wrap=True)


def _tables(step: "agent_pb2.StepFinished") -> "Iterable[RenderableType]":
    result = step.WhichOneof("result")
    if result == "diff":
        return diff_view(step.diff)
    if result == "models":
        return models_view(step.models)
    if result == "evaluation":
        return evaluation_view(step.evaluation)
    if result == "forecast":
        return forecast_view(step.forecast)
    if result == "predictions":
        return [predictions_view(step.predictions.pictures)]
    return ()
