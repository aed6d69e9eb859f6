"""The panels beside the conversation: picture, training and model, as HTML and figures."""

from html import escape
from typing import Any

from netgraft.ui.chat import FORMATS, edit_lines, state_word
from netgraft.ui.conversation import Room
from netgraft.ui.figures import count, duration, share, short, size
from netgraft.ui.job import ENDED, JobView
from netgraft.ui.messages import LANGUAGES, Words
from netgraft.v1 import surgery_pb2, tuning_pb2

TRAINING_COLOUR = "#14b8a6"
VALIDATION_COLOUR = "#f97316"

SHORT = 12
ID_LENGTH = 64
"""Digits of a model's id: those that are shown, and all."""

MOST_DRAWN = 400
"""Points of a curve that are sent to the browser."""

STATE_NAMES = {
    tuning_pb2.JOB_STATE_UNSPECIFIED: "starting",
    tuning_pb2.JOB_STATE_QUEUED: "queued",
    tuning_pb2.JOB_STATE_RUNNING: "running",
    tuning_pb2.JOB_STATE_SUCCEEDED: "succeeded",
    tuning_pb2.JOB_STATE_FAILED: "failed",
    tuning_pb2.JOB_STATE_CANCELLED: "cancelled",
}
"""Constant names for style sheets and tests."""


def picture(page: str, say: Words) -> str:
    """A page of the viewer in a frame with the id `picture-frame`."""
    if not page:
        return _empty(say.picture_empty)
    models = [part[:SHORT] for part in page.split("/") if len(part) == ID_LENGTH]
    title = (say.picture_of if len(models) == 1 else say.comparison_of).format(*models)
    frame = f'<iframe id="picture-frame" title="{escape(title)}" src="{escape(page)}"></iframe>'
    return f'<div class="ng-picture">{frame}</div>'


def progress(view: JobView | None, say: Words) -> str:
    """The progress bar with what is left to do."""
    if view is None:
        return _empty(say.training_empty)
    percent = round(100 * view.share)
    event, parts = view.progress, []
    if event.total_steps:
        parts = [
            say.epoch.format(epoch=event.epoch, total=event.total_epochs),
            say.progress_of.format(step=count(event.step), total=count(event.total_steps)),
        ]
    if event.images_per_second and not view.ended:
        parts.append(say.images_per_second.format(rate=short(round(event.images_per_second, 1))))
    if event.eta_seconds and not view.ended:
        parts.append(say.time_left.format(time=duration(event.eta_seconds, say)))
    return (
        f'<div class="ng-progress" role="progressbar" aria-label="{escape(say.progress)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<span style="width:{percent}%"></span></div>'
        f'<p class="ng-quiet">{escape(" · ".join([f"{percent} %", *parts]))}</p>'
        f"{_legend(view, say)}"
    )


def _legend(view: JobView, say: Words) -> str:
    """The lines' names with their newest figures: a single point makes no line."""
    lines = (
        (TRAINING_COLOUR, say.training_loss, view.training),
        (VALIDATION_COLOUR, say.validation_loss, view.validation),
    )
    shown = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)} {_newest(points)}</span>'
        for colour, name, points in lines
    )
    return f'<p class="ng-legend ng-quiet">{escape(say.loss_curve)}: {shown}</p>'


def _newest(points: dict[int, float]) -> str:
    return f"{points[max(points)]:.3g}" if points else ""


def colours() -> dict[str, str]:
    """The colour of each of the curve's lines, by its name in each language."""
    named: dict[str, str] = {}
    for say in LANGUAGES.values():
        named |= {say.training_loss: TRAINING_COLOUR, say.validation_loss: VALIDATION_COLOUR}
    return named


def job_state(view: JobView | None, say: Words) -> str:
    """The state in words, with the accuracy when there is one and the error if any."""
    if view is None:
        return ""
    name = STATE_NAMES.get(view.state, "starting")
    text = f"<strong>{escape(state_word(view.state, say))}</strong>"
    if "accuracy" in view.metrics:
        text += f" · {escape(say.accuracy)} <strong>{share(view.metrics['accuracy'])}</strong>"
    lines = [f'<p class="ng-state" role="status" data-state="{name}">{text}</p>']
    lines.append(f'<p class="ng-quiet"><code>{escape(view.id)}</code></p>')
    if not view.reachable:
        lines.append(f'<p class="ng-problem">{escape(say.reconnecting)}</p>')
    if view.error:
        lines.append(f'<p class="ng-problem" role="alert">{escape(view.error)}</p>')
    lines.extend(f'<p class="ng-quiet">{escape(note)}</p>' for note in view.notes[-3:])
    return "".join(lines)


def curve(view: JobView | None, say: Words) -> dict[str, Any] | None:
    """The loss over the steps, in the form of `gr.LinePlot`'s data."""
    if view is None or not (view.training or view.validation):
        return None
    # Both lines from the start: the plot takes up no new ones later.
    points: list[list[Any]] = [[0, None, say.training_loss], [0, None, say.validation_loss]]
    points += [[step, loss, say.training_loss] for step, loss in _thinned(view.training)]
    points += [[step, loss, say.validation_loss] for step, loss in _thinned(view.validation)]
    kinds = {"step": "quantitative", "loss": "quantitative", "series": "nominal"}
    return {"columns": list(kinds), "data": points, "datatypes": kinds, "mark": "line"}


def _thinned(points: dict[int, float]) -> list[tuple[int, float]]:
    """At most MOST_DRAWN points; each stands for its neighbours by their mean loss."""
    ordered = sorted(points.items())
    width = -(-len(ordered) // MOST_DRAWN) or 1
    groups = [ordered[start : start + width] for start in range(0, len(ordered), width)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def downloads(view: JobView | None, say: Words) -> str:
    """Links to the files of the model that a job has made."""
    if view is None or not view.result_model:
        return ""
    return _downloads(view.result_model, say)


def _downloads(model: str, say: Words) -> str:
    links = "".join(
        f'<a href="/export/{model}/{format_}" data-format="{format_}" download '
        f'aria-label="{escape(say.download_as.format(format=format_))}">{format_}</a>'
        for format_ in FORMATS
    )
    return f'<div class="ng-links"><span>{escape(say.download)}</span>{links}</div>'


def can_cancel(view: JobView | None) -> bool:
    return view is not None and view.state not in ENDED and not view.error


def model(room: Room, say: Words) -> str:
    """Heads and figures of the current model, and what its last edit did."""
    seen = room.inspection
    if seen is None or seen.model.id != room.model_id:
        return _empty(say.model_empty)
    identity = seen.model.id
    facts = [
        (say.base, f"<code>{escape(seen.model.base)}</code>"),
        (say.parameters, count(seen.parameters)),
        (say.trainable, count(seen.trainable_parameters)),
        (say.flops, short(seen.flops) if seen.flops else ""),
        (say.input, " × ".join(map(str, seen.input_shape))),
        (say.weights_size, size(seen.weight_bytes)),
        (say.model_loss, escape(seen.model.loss)),
        (say.last_edit, _last_edit(room, say)),
        (say.identifier, f'<code class="ng-id">{identity}</code>'),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts if value)
    notices = "".join(f'<p class="ng-quiet">{escape(line)}</p>' for line in seen.model.notices)
    return (
        f"<h3>{escape(seen.model.title)}</h3>{notices}{_heads(seen, say)}"
        f'<dl class="ng-facts">{rows}</dl>{_downloads(identity, say)}'
    )


def _heads(seen: surgery_pb2.Inspection, say: Words) -> str:
    if not seen.heads:
        return f"<p>{escape(say.no_heads)}</p>"
    names = (
        say.head_path,
        say.head_type,
        say.head_in,
        say.head_out,
        say.head_classes,
        say.head_role,
    )
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(head.path)}</code></th><td>{escape(head.type)}</td>'
        f"<td>{count(head.in_features)}</td><td>{count(head.out_features)}</td>"
        f"<td>{count(head.classes)}</td><td>{escape(head.role)}</td></tr>"
        for head in seen.heads
    )
    return (
        f'<table class="ng-table"><caption>{escape(say.heads)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _last_edit(room: Room, say: Words) -> str:
    edit = room.edit
    if edit is None or edit.model.id != room.model_id:
        return ""
    return "<br>".join(escape(line) for line in edit_lines(edit, say))


def _empty(hint: str) -> str:
    return f'<p class="ng-empty">{escape(hint)}</p>'
