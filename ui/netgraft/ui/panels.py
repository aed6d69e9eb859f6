"""The panels beside the conversation (picture, training, model) as HTML and chart data."""

from html import escape
from typing import Any

from netgraft.language import LANGUAGES, Translator, in_context
from netgraft.ui.chat import FORMATS, edit_lines, state_word
from netgraft.ui.conversation import Conversation
from netgraft.ui.figures import count, duration, share, short, size
from netgraft.ui.job import ENDED, JobView
from netgraft.v1 import surgery_pb2, tuning_pb2

TRAINING = in_context("a curve", "training")
VALIDATION = in_context("a curve", "validation")
TRAINING_COLOUR = "#14b8a6"
VALIDATION_COLOUR = "#f97316"

SHORT = 12
ID_LENGTH = 64
"""Digits of a model's id: how many are shown, and how many it has."""

WAITS = 0.05
"""Share of the time from which on it is worth a word that a run waits for its data."""
MOST_DRAWN = 400
"""Points of a curve that are sent to the browser."""

STATE_NAMES = {
    tuning_pb2.JOB_STATE_UNSPECIFIED: "starting",
    tuning_pb2.JOB_STATE_QUEUED: "queued",
    tuning_pb2.JOB_STATE_PREPARING: "preparing",
    tuning_pb2.JOB_STATE_RUNNING: "running",
    tuning_pb2.JOB_STATE_SUCCEEDED: "succeeded",
    tuning_pb2.JOB_STATE_FAILED: "failed",
    tuning_pb2.JOB_STATE_CANCELLED: "cancelled",
    tuning_pb2.JOB_STATE_PAUSED: "paused",
}
"""Constant names for style sheets and tests."""


def picture(page: str, say: Translator) -> str:
    """Return a page of the viewer in a frame with the id `picture-frame`."""
    if not page:
        return _empty(say("The model's graph appears here."))
    models = [part[:SHORT] for part in page.split("/") if len(part) == ID_LENGTH]
    if len(models) == 1:
        title = say("Picture of the model {model}", model=models[0])
    else:
        a, b = models
        title = say("Comparison of the models {a} and {b}", a=a, b=b)
    frame = f'<iframe id="picture-frame" title="{escape(title)}" src="{escape(page)}"></iframe>'
    return f'<div class="ng-picture">{frame}</div>'


def progress(view: JobView | None, say: Translator) -> str:
    """Return the progress bar, with the step, the throughput and the time left."""
    if view is None:
        return _empty(
            say("Nothing trains yet. Ask for it, such as “fine-tune it on digits for 1 epoch”.")
        )
    percent = round(100 * view.share)
    event, parts = view.progress, []
    if event.total_steps:
        parts = [
            say("epoch {epoch} of {total}", epoch=event.epoch, total=event.total_epochs),
            say("step {step} of {total}", step=count(event.step), total=count(event.total_steps)),
        ]
    if event.images_per_second and not view.ended:
        parts.append(say("{rate} images/s", rate=short(round(event.images_per_second, 1))))
    if event.data_wait >= WAITS and not view.ended:
        parts.append(say("waiting for data {share:.0%}", share=event.data_wait))
    if event.memory_bytes and not view.ended:
        memory = event.memory_bytes + event.gpu_memory_bytes
        parts.append(say("memory {size}", size=size(memory)))
    if event.eta_seconds and not view.ended:
        parts.append(say("{time} left", time=duration(event.eta_seconds, say)))
    label = say("Training progress")
    return (
        f'<div class="ng-progress" role="progressbar" aria-label="{escape(label)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<span style="width:{percent}%"></span></div>'
        f'<p class="ng-quiet">{escape(" · ".join([f"{percent} %", *parts]))}</p>'
        f"{_legend(view, say)}"
    )


def _legend(view: JobView, say: Translator) -> str:
    """Return the curves' names and newest values: a curve of one point is not visible."""
    lines = (
        (TRAINING_COLOUR, say(TRAINING), view.training),
        (VALIDATION_COLOUR, say(VALIDATION), view.validation),
    )
    shown = "".join(
        f'<span><i style="background:{colour}"></i>{escape(name)} {_newest(points)}</span>'
        for colour, name, points in lines
    )
    return f'<p class="ng-legend ng-quiet">{escape(say("Loss"))}: {shown}</p>'


def _newest(points: dict[int, float]) -> str:
    return f"{points[max(points)]:.3g}" if points else ""


def colours() -> dict[str, str]:
    """Return the colour of each curve by its name in every language."""
    named: dict[str, str] = {}
    for say in map(Translator, LANGUAGES):
        named |= {say(TRAINING): TRAINING_COLOUR, say(VALIDATION): VALIDATION_COLOUR}
    return named


def job_state(view: JobView | None, say: Translator) -> str:
    """Return the state in words, with the accuracy and the error if there are any."""
    if view is None:
        return ""
    name = STATE_NAMES.get(view.state, "starting")
    text = f"<strong>{escape(state_word(view.state, say))}</strong>"
    if "accuracy" in view.metrics:
        accuracy = share(view.metrics["accuracy"])
        text += f" · {escape(say('Accuracy'))} <strong>{accuracy}</strong>"
        if "accuracy_without_leaks" in view.metrics:
            fair = share(view.metrics["accuracy_without_leaks"])
            said = say("{accuracy} without pictures that it was trained on", accuracy=fair)
            text += f" · {escape(said)}"
    elif "held_back_accuracy" in view.metrics:
        accuracy = share(view.metrics["held_back_accuracy"])
        shown = say("Accuracy on held-back training pictures")
        text += f" · {escape(shown)} <strong>{accuracy}</strong>"
    lines = [f'<p class="ng-state" role="status" data-state="{name}">{text}</p>']
    results = f'<a id="results-page" href="/jobs/{escape(view.id)}">{escape(say("Results"))}</a>'
    lines.append(f'<p class="ng-quiet"><code>{escape(view.id)}</code> · {results}</p>')
    if not view.reachable:
        waiting = say("The server does not answer; trying again.")
        lines.append(f'<p class="ng-problem">{escape(waiting)}</p>')
    if view.error:
        lines.append(f'<p class="ng-problem" role="alert">{escape(view.error)}</p>')
    lines.extend(f'<p class="ng-quiet">{escape(note)}</p>' for note in view.notes[-3:])
    return "".join(lines)


def curve(view: JobView | None, say: Translator) -> dict[str, Any] | None:
    """Return the loss over the steps, as `gr.LinePlot` takes its data."""
    if view is None or not (view.training or view.validation):
        return None
    # Both curves from the start: the plot does not add new ones later.
    points: list[list[Any]] = [[0, None, say(TRAINING)], [0, None, say(VALIDATION)]]
    points += [[step, loss, say(TRAINING)] for step, loss in _thinned(view.training)]
    points += [[step, loss, say(VALIDATION)] for step, loss in _thinned(view.validation)]
    kinds = {"step": "quantitative", "loss": "quantitative", "series": "nominal"}
    return {"columns": list(kinds), "data": points, "datatypes": kinds, "mark": "line"}


def _thinned(points: dict[int, float]) -> list[tuple[int, float]]:
    """Return at most MOST_DRAWN points, each the mean loss of neighbouring points."""
    ordered = sorted(points.items())
    width = -(-len(ordered) // MOST_DRAWN) or 1
    groups = [ordered[start : start + width] for start in range(0, len(ordered), width)]
    return [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]


def downloads(view: JobView | None, say: Translator) -> str:
    """Return links to the files of the model that a job has made."""
    if view is None or not view.result_model:
        return ""
    return _downloads(view.result_model, say)


def _downloads(model: str, say: Translator) -> str:
    labels = {name: say("Download the model as {format}", format=name) for name in FORMATS}
    links = "".join(
        f'<a href="/export/{model}/{format_}" data-format="{format_}" download '
        f'aria-label="{escape(label)}">{format_}</a>'
        for format_, label in labels.items()
    )
    return f'<div class="ng-links"><span>{escape(say("Download the model"))}</span>{links}</div>'


def can_cancel(view: JobView | None) -> bool:
    return view is not None and view.state not in ENDED and not view.error


def model(conversation: Conversation, say: Translator) -> str:
    """Return the current model's heads and figures, and what its last edit did."""
    seen = conversation.inspection
    if seen is None or seen.model.id != conversation.model_id:
        return _empty(say("The model's heads and figures appear here."))
    identity = seen.model.id
    facts = [
        (say("Base"), f"<code>{escape(seen.model.base)}</code>"),
        (say("Parameters"), count(seen.parameters)),
        (say("Trainable"), count(seen.trainable_parameters)),
        (say("FLOPs per example"), short(seen.flops) if seen.flops else ""),
        (say("Input"), " × ".join(map(str, seen.input_shape))),
        (say("Weights"), size(seen.weight_bytes)),
        (say(in_context("function", "Loss")), escape(seen.model.loss)),
        (say("Last edit"), _last_edit(conversation, say)),
        (say("Id"), f'<code class="ng-id">{identity}</code>'),
    ]
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in facts if value)
    notices = "".join(f'<p class="ng-quiet">{escape(line)}</p>' for line in seen.model.notices)
    return (
        f"<h3>{escape(seen.model.title)}</h3>{notices}{_heads(seen, say)}"
        f'<dl class="ng-facts">{rows}</dl>{_downloads(identity, say)}'
    )


def _heads(seen: surgery_pb2.Inspection, say: Translator) -> str:
    if not seen.heads:
        return f"<p>{escape(say('No head was found.'))}</p>"
    names = (
        say("Module"),
        say("Type"),
        say("In"),
        say("Out"),
        say("Classes"),
        say("Role"),
    )
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(head.path)}</code></th><td>{escape(head.type)}</td>'
        f"<td>{count(head.in_features)}</td><td>{count(head.out_features)}</td>"
        f"<td>{count(head.classes)}</td><td>{escape(head.role)}</td></tr>"
        for head in seen.heads
    )
    return (
        f'<table class="ng-table"><caption>{escape(say("Heads"))}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"
    )


def _last_edit(conversation: Conversation, say: Translator) -> str:
    edit = conversation.edit
    if edit is None or edit.model.id != conversation.model_id:
        return ""
    return "<br>".join(escape(line) for line in edit_lines(edit, say))


def _empty(hint: str) -> str:
    return f'<p class="ng-empty">{escape(hint)}</p>'
