"""Replies as lines and tables for people.

Knows nothing of where a reply comes from; single commands and `do` share these views.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.names import field_name, figure_name
from netgraft.cli.terminal.output import count, duration, exact, size, table
from netgraft.language import in_context

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.table import Table

    from netgraft.v1 import graph_pb2, models_pb2, surgery_pb2, tuning_pb2

SHORT = 12
"""Digits of a model id that are shown where there is little space."""


def facts(rows: list[tuple[str, str]]) -> "Table":
    """Return a table of names and values, one pair a line."""
    from rich.table import Table

    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows:
        if value:
            made.add_row(name, value)
    return made


def edit_view(reply: "surgery_pb2.EditReply") -> "Iterator[Table]":
    """Yield tables of an edit: the new model, and each head that was replaced."""
    before, after = exact(reply.parameters_before), exact(reply.parameters_after)
    trained, trains = exact(reply.trainable_before), exact(reply.trainable_after)
    yield facts(
        [
            (tr("model"), reply.model.id),
            (tr("title"), reply.model.title),
            (tr("parameters"), f"{before} → {after}"),
            (tr("trainable"), f"{trained} → {trains}"),
        ]
    )
    if not reply.heads:
        return
    numbers = (tr("in_features"), tr("before"), tr("after"))
    made = table(tr("head"), tr("type"), *numbers, right=numbers)
    for head in reply.heads:
        made.add_row(head.path, head.type, str(head.in_features), str(head.before), str(head.after))
    yield made


def inspection_view(reply: "surgery_pb2.Inspection") -> "Iterator[Table]":
    """Yield tables of a model and its heads."""
    shape = " × ".join(str(side) for side in reply.input_shape)
    yield facts(
        [
            (tr("model"), reply.model.id),
            (tr("title"), reply.model.title),
            (tr("base"), reply.model.base),
            (tr("task"), reply.model.task),
            (tr("input"), shape),
            (tr("parameters"), exact(reply.parameters)),
            (tr("trainable"), exact(reply.trainable_parameters)),
            ("FLOPs", count(reply.flops)),
            (tr("weights"), size(reply.weight_bytes)),
            (tr("loss"), reply.model.loss),
            *(
                (figure_name(name), f"{value:.4g}")
                for name, value in sorted(reply.model.metrics.items())
            ),
        ]
    )
    numbers = (tr("in"), tr("out"), tr("classes"))
    made = table(tr("head"), tr("type"), *numbers, tr("role"), right=numbers)
    for head in reply.heads:
        sizes = (str(head.in_features), str(head.out_features), str(head.classes))
        made.add_row(head.path, head.type, *sizes, head.role)
    yield made


def modules_view(reply: "graph_pb2.ModuleTable") -> "Iterator[Table]":
    """Yield the table of modules, each indented by its depth."""
    numbers = (tr("parameters"), tr("trainable"), "FLOPs", tr("memory"))
    shape = tr("output")
    made = table(tr("module"), tr("type"), shape, *numbers, right=numbers)
    for row in reply.rows:
        name = row.path.rpartition(".")[2] or tr("(model)")
        calls = f" ×{row.calls}" if row.calls > 1 else ""
        made.add_row(
            "  " * row.depth + name + calls,
            row.type,
            ", ".join(row.output_shapes) or "–",
            exact(row.parameters) if row.parameters else "–",
            exact(row.trainable_parameters) if row.trainable_parameters else "–",
            count(row.flops) if row.flops else "–",
            size(row.activation_bytes) if row.activation_bytes else "–",
        )
    yield made


def diff_view(reply: "graph_pb2.GraphDiff") -> "Iterator[Table]":
    """Yield tables of the differences, module by module."""
    from netgraft.v1 import graph_pb2

    kinds = {
        graph_pb2.ModuleDifference.KIND_ADDED: tr("added"),
        graph_pb2.ModuleDifference.KIND_REMOVED: tr("removed"),
        graph_pb2.ModuleDifference.KIND_CHANGED: tr("changed"),
        graph_pb2.ModuleDifference.KIND_TRAINABLE: tr(in_context("difference", "trainable")),
    }
    yield facts(
        [
            ("a", f"{reply.a_id}  {exact(reply.a_parameters)}"),
            ("b", f"{reply.b_id}  {exact(reply.b_parameters)}"),
        ]
    )
    numbers = (tr("parameters a"), tr("parameters b"))
    made = table(tr("module"), tr("what"), "a", "b", *numbers, right=numbers)
    for difference in reply.differences:
        made.add_row(
            difference.path or tr("(model)"),
            kinds.get(difference.kind, ""),
            difference.before,
            difference.after,
            exact(difference.parameters_before),
            exact(difference.parameters_after),
        )
    yield made if reply.differences else facts([("", tr("No difference."))])


def models_view(reply: "models_pb2.ListModelsReply") -> "Iterator[Table]":
    """Yield the table of the models that were found."""
    if not reply.entries:
        hint = tr(
            "No model matches. `netgraft models` lists all, also files that were opened and models "
            "that were trained; `netgraft prefetch NAME` downloads weights."
        )
        yield facts([("", hint)])
        return
    numbers = (tr("parameters"), "FLOPs", "top-1 %", tr("input"))
    words = (tr("licence"), tr("on disk"))
    made = table(tr("name"), tr("task"), *numbers, *words, right=numbers)
    for entry in reply.entries:
        made.add_row(
            f"{entry.name}\n{entry.title}" if entry.title else entry.name,
            entry.task,
            count(entry.params) if entry.params else "–",
            count(entry.flops) if entry.flops else "–",
            f"{entry.accuracy:.1f}" if entry.accuracy else "–",
            str(entry.image_size or "–"),
            entry.licence or "–",
            ", ".join(entry.on_disk) or "–",
        )
    yield made
    shown, total = len(reply.entries), reply.total
    if shown < total:
        hint = tr("{shown} of {total} shown; --limit {total} shows all.", shown=shown, total=total)
        yield facts([("", hint)])


def state_name(state: int) -> str:
    """Return a job's state in words."""
    from netgraft.v1 import tuning_pb2

    names: dict[int, str] = {
        tuning_pb2.JOB_STATE_QUEUED: tr("queued"),
        tuning_pb2.JOB_STATE_PREPARING: tr("preparing"),
        tuning_pb2.JOB_STATE_RUNNING: tr("running"),
        tuning_pb2.JOB_STATE_SUCCEEDED: tr("succeeded"),
        tuning_pb2.JOB_STATE_FAILED: tr("failed"),
        tuning_pb2.JOB_STATE_CANCELLED: tr("cancelled"),
        tuning_pb2.JOB_STATE_PAUSED: tr("paused"),
    }
    return names.get(state, "")


def jobs_view(reply: "tuning_pb2.ListJobsReply") -> "Iterator[Table]":
    """Yield the table of jobs, newest first."""
    if not reply.jobs:
        hint = tr("No such jobs. `netgraft finetune MODEL --data DATA` starts one.")
        yield facts([("", hint)])
        return
    made = table(
        tr("job"),
        tr("state"),
        tr("model"),
        tr("data"),
        tr("progress"),
        tr("figures"),
        tr("created"),
    )
    for job in reply.jobs:
        made.add_row(
            job.id,
            state_name(job.state),
            job.spec.model[:SHORT],
            job.spec.data,
            _progress(job.last_event),
            figures(job.metrics),
            _when(job.create_time),
        )
    yield made


def job_view(job: "tuning_pb2.Job", page: str = "") -> "Iterator[Table]":
    """Yield the table of everything about one job. `page`: the address of its results."""
    spec = ", ".join(settings_of(job.spec))
    failed = f"{job.error_message} ({job.error_reason})" if job.error_reason else ""
    yield facts(
        [
            (tr("job"), job.id),
            (tr("state"), state_name(job.state)),
            (tr("error"), failed),
            (tr("model"), job.spec.model),
            (tr("settings"), spec),
            *((tr("assumed"), line) for line in job.assumptions),
            (tr("progress"), _progress(job.last_event)),
            (tr("figures"), figures(job.metrics)),
            (tr("result"), job.result_model),
            (tr("created"), _when(job.create_time)),
            (tr("took"), _took(job)),
            (tr("attempt"), str(job.attempt) if job.attempt > 1 else ""),
            (tr("page"), page),
        ]
    )


def settings_of(spec: "tuning_pb2.TuningSpec") -> "Iterator[str]":
    """Yield each value of a spec with its name."""
    for field, value in (*spec.ListFields(), *spec.options.ListFields()):
        if field.name not in ("model", "options"):
            yield f"{field_name(field.name)} {_setting(field.name, value)}"


def _setting(name: str, value: object) -> str:
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    return str(value)[:SHORT] if name == "fingerprint" else str(value)


def _took(job: "tuning_pb2.Job") -> str:
    """Return the time from the start of a job's workers to its end; "" if either is missing."""
    if not (job.HasField("start_time") and job.HasField("end_time")):
        return ""
    seconds = job.end_time.ToSeconds() - job.start_time.ToSeconds()
    return duration(seconds) if seconds > 0 else ""


def figures(metrics: Mapping[str, float]) -> str:
    """Format metrics on one line: accuracy 0.97, loss 0.11."""
    return ", ".join(f"{figure_name(name)} {value:.4g}" for name, value in sorted(metrics.items()))


def _progress(event: "tuning_pb2.JobEvent") -> str:
    if not event.total_steps:
        return ""
    return f"{event.step}/{event.total_steps} ({event.step * 100 // event.total_steps} %)"


def _when(time: "Timestamp") -> str:
    if not time.seconds:
        return ""
    return f"{time.ToDatetime(UTC).astimezone():%Y-%m-%d %H:%M:%S}"
