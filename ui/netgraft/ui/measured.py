"""What a model sees in pictures, and how well it does: pictures with bars, and tables, as HTML."""

import base64
import posixpath
from collections.abc import Iterator, Sequence
from html import escape

from netgraft.language import Translator
from netgraft.ui.figures import count, share
from netgraft.v1 import agent_pb2, tuning_pb2

MOST_PICTURES = 12
"""Pictures that are shown; the summary counts all."""
MOST_CLASSES = 12
"""Classes of a confusion table; of more, the pairs that were confused most often are listed."""
MOST_PAIRS = 10
MOST_MISTAKES = 10


def measured(finished: agent_pb2.StepFinished, say: Translator) -> str:
    """Return the result of a step that asked a model, as HTML; "" for other steps."""
    kind = finished.WhichOneof("result")
    if kind == "predictions":
        return _pictures(finished.predictions, say)
    return _figures(finished.evaluation, say) if kind == "evaluation" else ""


def _pictures(found: agent_pb2.Predictions, say: Translator) -> str:
    shown = found.pictures[:MOST_PICTURES]
    names = below([each.name for each in shown])
    cards = "".join(_picture(each, name) for each, name in zip(shown, names, strict=True))
    rest = found.total - len(shown)
    more = f'<p class="ng-quiet">{escape(say("{count} more", count=rest))}</p>' if rest else ""
    return f'<div class="ng-seen">{cards}</div>{more}'


def below(paths: Sequence[str]) -> list[str]:
    """Return paths without the folder that all share: where that is, is the server's affair."""
    folders = {posixpath.dirname(path) for path in paths}
    try:
        shared = posixpath.commonpath(folders)
    except ValueError:  # none, or absolute and relative ones
        return list(paths)
    return [posixpath.relpath(path, shared) if shared else path for path in paths]


def _picture(reply: tuning_pb2.PredictReply, name: str) -> str:
    image = ""
    if reply.thumbnail:
        encoded = base64.b64encode(reply.thumbnail).decode()
        image = f'<img src="data:image/jpeg;base64,{encoded}" alt="{escape(name)}">'
    if reply.error:
        lines = f'<p class="ng-quiet">{escape(reply.error)}</p>'
    else:
        lines = "".join(_bar(each.name, each.probability) for each in reply.classes)
    return f"<figure>{image}<figcaption>{escape(name)}{lines}</figcaption></figure>"


def _bar(name: str, probability: float) -> str:
    """Return a class with its probability as a bar behind its name."""
    width = f"{100 * probability:.1f}%"
    return (
        f'<div class="ng-bar"><span style="width:{width}"></span>'
        f"<b>{escape(name)}</b><i>{share(probability)}</i></div>"
    )


def _figures(found: tuning_pb2.Evaluation, say: Translator) -> str:
    rows = (
        (say("Balanced accuracy"), share(found.balanced_accuracy)),
        (say("Macro F1"), share(found.macro_f1)),
        (say("Log loss"), f"{found.loss:.3g}"),
        (say("Calibration error"), share(found.calibration_error)),
    )
    facts = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows)
    parts = (f'<dl class="ng-facts">{facts}</dl>', _confusion(found, say), _mistakes(found, say))
    return f'<div class="ng-figures">{"".join(parts)}</div>'


def _confusion(found: tuning_pb2.Evaluation, say: Translator) -> str:
    names = [each.name for each in found.classes]
    if len(names) > MOST_CLASSES:
        return _pairs(found, names, say)
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(_cells(found, row, len(names)))}</tr>"
        for row, name in enumerate(names)
    )
    corner = escape(say("is ↓ taken for →"))
    return f'<table class="ng-confusion"><tr><th>{corner}</th>{head}</tr>{body}</table>'


def _cells(found: tuning_pb2.Evaluation, row: int, classes: int) -> Iterator[str]:
    taken = found.confusion[row * classes : (row + 1) * classes]
    whole = sum(taken) or 1
    for column, number in enumerate(taken):
        kind = "right" if row == column else "wrong"
        yield f'<td class="{kind}" style="--share:{number / whole:.3f}">{count(number)}</td>'


def _pairs(found: tuning_pb2.Evaluation, names: list[str], say: Translator) -> str:
    cells = (
        (found.confusion[row * len(names) + column], truth, said)
        for row, truth in enumerate(names)
        for column, said in enumerate(names)
        if row != column
    )
    worst = sorted((cell for cell in cells if cell[0]), key=lambda cell: -cell[0])[:MOST_PAIRS]
    lines = (
        say("{truth} taken for {said}: {times} ×", truth=truth, said=said, times=times)
        for times, truth, said in worst
    )
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"


def _mistakes(found: tuning_pb2.Evaluation, say: Translator) -> str:
    if not found.mistakes:
        return ""
    lines = "".join(
        "<li>{}</li>".format(
            escape(
                say(
                    "{file}: {truth}, taken for {said} ({share})",
                    file=each.file,
                    truth=each.truth,
                    said=each.said,
                    share=share(each.probability),
                )
            )
        )
        for each in found.mistakes[:MOST_MISTAKES]
    )
    return f"<details><summary>{escape(say('Worst mistakes'))}</summary><ul>{lines}</ul></details>"
