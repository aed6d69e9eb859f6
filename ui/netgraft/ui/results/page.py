"""The results page, section by section. Each section returns HTML, or "" where it has nothing."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import PurePosixPath
from urllib.parse import urlencode

from netgraft.language import Translator, mark
from netgraft.ui.chat import FORMATS, state_word
from netgraft.ui.figures import count, duration, share, size
from netgraft.ui.panels import STATE_NAMES
from netgraft.ui.results import figures
from netgraft.ui.results.curves import curves
from netgraft.ui.results.forecast import forecast_and_outcome
from netgraft.ui.results.gather import Gathered
from netgraft.ui.results.pictures import cell_address, gallery, picture_address
from netgraft.v1 import tuning_pb2
from netgraft.v1.tuning_pb2 import JobEvent

MOST_MISTAKES = 24
MOST_FILES = 100
"""Of a finding about the data."""
PICTURED = frozenset(
    {
        "alike", "alpha", "blurred", "clashing_labels", "dark", "deep_pixels", "duplicate",
        "duplicate_across", "wrong_ending", "wrong_labels",
    }
)  # fmt: skip
"""Findings about pictures that can be seen."""
SIZES = {
    "fit": mark("to learn from"),
    "held_back": mark("training pictures held back, to choose by"),
    "held_out": mark("held out, to measure with"),
    "test": mark("test, kept apart"),
}


def sections(seen: Gathered, say: Translator) -> str:
    """The whole content of the page."""
    parts = (
        _head(seen, say),
        _figures(seen, say),
        _links(seen, say),
        _section(say("Forecast and outcome"), forecast_and_outcome(seen.job, say), "forecast"),
        _section(say("Curves"), curves(seen.history, say, lives=seen.lives), "curves"),
        _classes(seen, say),
        _confusion(seen, say),
        _mistakes(seen, say),
        _varied(seen, say),
        _said(seen, say),
        _assumptions(seen.job, say),
        _data(seen, say),
        _card(seen, say),
    )
    return "".join(parts)


def name_of(data: str) -> str:
    """The name of a data set: of a path its last part, because the rest is the server's."""
    return PurePosixPath(data).name or data


def _section(title: str, body: str, name: str) -> str:
    if not body:
        return ""
    return f'<section><h2 id="{name}">{escape(title)}</h2>{body}</section>'


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


# What it is and how well it does


def _head(seen: Gathered, say: Translator) -> str:
    job = seen.job
    state, name = STATE_NAMES.get(job.state, "starting"), name_of(job.spec.data)
    parts = [f"<strong>{escape(state_word(job.state, say))}</strong>", *_progress(seen, say)]
    if job.HasField("start_time") and job.HasField("end_time"):
        took = job.end_time.ToSeconds() - job.start_time.ToSeconds()
        parts.append(escape(say("took {time}", time=duration(max(0, took), say))))
    problem = f'<p class="problem" role="alert">{escape(job.error_message)}</p>'
    return (
        f'<header><h1>{escape(seen.title)}</h1><p class="quiet">'
        f"{escape(say('tuned on {data}', data=name))} · <code>{escape(job.id)}</code></p>"
        f'<p role="status" data-state="{state}">{" · ".join(parts)}</p>'
        f"{problem if job.error_message else ''}</header>"
    )


def _progress(seen: Gathered, say: Translator) -> list[str]:
    event = seen.history.progress
    if not seen.lives or not event.total_steps:
        return []
    parts = [
        say("epoch {epoch} of {total}", epoch=event.epoch, total=event.total_epochs),
        say("step {step} of {total}", step=count(event.step), total=count(event.total_steps)),
    ]
    if event.data_wait:
        parts.append(say("waits for data {share} of the time", share=share(event.data_wait)))
    if event.memory_bytes:
        parts.append(say("{size} of memory", size=size(event.memory_bytes)))
    if event.eta_seconds:
        parts.append(say("{time} left", time=duration(event.eta_seconds, say)))
    return [escape(part) for part in parts]


def _figures(seen: Gathered, say: Translator) -> str:
    models = seen.history.models
    metrics = dict(seen.job.metrics) or (dict(models[-1].metrics) if models else {})
    if "accuracy" not in metrics:
        return ""
    under = "".join(f"<span>{escape(line)}</span>" for line in _under(metrics, seen, say))
    first = "" if seen.job.result_model else _first_model(say)
    return (
        f'<section class="figures"><p class="accuracy"><b>{share(metrics["accuracy"])}</b>'
        f"<span>{escape(say('Accuracy'))}</span>{under}</p>{_others(metrics, say)}{first}</section>"
    )


def _under(metrics: Mapping[str, float], seen: Gathered, say: Translator) -> Iterator[str]:
    """Yield the lines without which an accuracy says little."""
    if "accuracy_low" in metrics:
        low, high = share(metrics["accuracy_low"]), share(metrics["accuracy_high"])
        yield say("95 %: {low} to {high}", low=low, high=high)
    if "accuracy_without_leaks" in metrics:
        fair = share(metrics["accuracy_without_leaks"])
        yield say("without pictures of which copies were trained on: {accuracy}", accuracy=fair)
    if "majority" in metrics:
        yield say("always naming the largest class: {share}", share=share(metrics["majority"]))
    if total := seen.results.evaluation.pictures:
        correct = count(seen.results.evaluation.correct)
        yield say("{correct} of {total} held-out pictures", correct=correct, total=count(total))


def _others(metrics: Mapping[str, float], say: Translator) -> str:
    names = {
        "balanced_accuracy": say("Balanced accuracy"),
        "macro_f1": say("Macro F1"),
        "loss": say("Log loss"),
        "calibration_error": say("Calibration error"),
    }
    facts = "".join(
        f"<div><dt>{escape(label)}</dt>"
        f"<dd>{f'{metrics[name]:.3g}' if name == 'loss' else share(metrics[name])}</dd></div>"
        for name, label in names.items()
        if name in metrics
    )
    return f"<dl>{facts}</dl>"


def _first_model(say: Translator) -> str:
    text = say("These are the figures of the first model, the probe, which can be used already.")
    return f'<p class="quiet">{escape(text)}</p>'


# Classes and pictures


def _classes(seen: Gathered, say: Translator) -> str:
    found = seen.results.evaluation
    body = figures.table_of_classes(seen.job.id, found, say) if found.classes else ""
    return _section(say("Every class"), body, "classes")


def _confusion(seen: Gathered, say: Translator) -> str:
    found = seen.results.evaluation
    if not found.classes:
        return ""
    hint = say("Every number leads to its pictures.")
    body = figures.confusion(seen.job.id, seen.results, say)
    return _section(
        say("Which class was taken for which"),
        f'<p class="quiet">{escape(hint)}</p>{body}',
        "confusion",
    )


def _mistakes(seen: Gathered, say: Translator) -> str:
    found = seen.results.evaluation
    if not found.classes:
        return ""
    if not found.mistakes:
        text = say("None: every held-out picture was named rightly.")
        return _section(say("Worst mistakes"), f"<p>{escape(text)}</p>", "mistakes")
    shown = found.mistakes[:MOST_MISTAKES]
    hint = say("Held-out pictures that were named wrong, the most certain first.")
    everything = say("All {count} held-out pictures", count=count(found.pictures))
    link = f'<p><a href="{escape(cell_address(seen.job.id))}">{escape(everything)}</a></p>'
    return _section(
        say("Worst mistakes"),
        f'<p class="quiet">{escape(hint)}</p>{gallery(seen.job.id, shown, say)}{link}',
        "mistakes",
    )


def _varied(seen: Gathered, say: Translator) -> str:
    if not seen.results.varied:
        return ""
    encoded = base64.b64encode(seen.results.varied).decode()
    label = escape(say("Training pictures, varied as in training"))
    image = f'<img class="sheet" src="data:image/jpeg;base64,{encoded}" alt="{label}">'
    return _section(say("How training pictures are varied"), image, "varied")


# What was said and assumed


def _said(seen: Gathered, say: Translator) -> str:
    notes = [event for event in seen.history.notes if not event.HasField("finding")]
    events = sorted([*seen.history.models, *notes], key=lambda event: event.seq)
    body = _list(dict.fromkeys(event.message for event in events if event.message))
    return _section(say("What the run said"), body, "said")


def _assumptions(job: tuning_pb2.Job, say: Translator) -> str:
    return _section(say("What was chosen, and why"), _list(job.assumptions), "chosen")


def _data(seen: Gathered, say: Translator) -> str:
    results = seen.results
    rows = [
        (say(SIZES.get(use, use)), count(results.sizes[use]))
        for use in (*SIZES, *(set(results.sizes) - set(SIZES)))
        if use in results.sizes
    ]
    if results.data_hash:
        rows.append((say("SHA-256 of the contents"), results.data_hash))
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    shown = f'<dl class="facts">{facts}</dl>' if facts else ""
    notes = (each for each in seen.history.notes if each.HasField("finding"))
    found = "".join(_finding(seen.job.id, each, say) for each in notes)
    return _section(say("The data"), shown + (f"<ul>{found}</ul>" if found else ""), "data")


def _finding(job: str, note: JobEvent, say: Translator) -> str:
    """Return what is wrong with the data, with the files behind it."""
    found = note.finding
    sentence = f'<span class="{escape(found.severity)}">{escape(note.message)}</span>'
    names = (f"<li>{_file(job, file, found.kind)}</li>" for file in found.files[:MOST_FILES])
    if not found.files:
        return f"<li>{sentence}</li>"
    title = escape(say("Files: {count}", count=count(len(found.files))))
    files = f"<details><summary>{title}</summary><ul>{''.join(names)}</ul></details>"
    return f"<li>{sentence}{files}</li>"


def _file(job: str, file: str, kind: str) -> str:
    """A file's name, which leads to the picture where there is something to see."""
    if kind not in PICTURED:
        return escape(file)
    return f'<a href="{escape(picture_address(job, file))}">{escape(file)}</a>'


# Where to go from here


def _links(seen: Gathered, say: Translator) -> str:
    board = "/tensorboard/?" + urlencode({"runFilter": seen.job.id}) + "#timeseries"
    links = [f'<a href="{escape(board)}">TensorBoard</a>'] if seen.history.training else []
    if model := seen.results.model:
        graph = escape(say("The model's graph"))
        links.append(f'<a href="/viz/{model}/">{graph}</a>')
        links += [
            f'<a href="/export/{model}/{format_}" download data-format="{format_}">{format_}</a>'
            for format_ in (*FORMATS, "card")
        ]
    label = escape(say("Take the model away, or look closer"))
    return f'<nav class="links" aria-label="{label}">{"".join(links)}</nav>' if links else ""


def _card(seen: Gathered, say: Translator) -> str:
    """The model card, which the page's script reads when it is opened."""
    if not seen.results.model:
        return ""
    address = f"/export/{seen.results.model}/card"
    title = escape(say("The model card"))
    return (
        f'<details id="card" data-source="{address}"><summary>{title}</summary>'
        f'<pre tabindex="0"><a href="{address}" download>card.md</a></pre></details>'
    )
