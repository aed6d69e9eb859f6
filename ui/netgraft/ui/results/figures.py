"""Tables of a results page: the classes, and which were taken for which."""

from collections.abc import Iterator
from html import escape

from netgraft.language import Translator
from netgraft.ui.figures import count, share
from netgraft.ui.results.pictures import cell_address
from netgraft.v1 import tuning_pb2

MOST_CLASSES = 50
"""Classes of a confusion that is shown whole; of more, the pairs that were confused most."""
MOST_PAIRS = 50
SHORT = 3
"""Letters of names that need not stand upright above their columns."""


def table_of_classes(job: str, found: tuning_pb2.Evaluation, say: Translator) -> str:
    """The figures of every class; the page's script sorts them by any column."""
    names = (say("Class"), say("Pictures"), say("Recall"), say("Precision"), say("F1"))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(_row(job, each) for each in found.classes)
    return (
        '<div class="wide" tabindex="0" role="region" aria-labelledby="classes">'
        f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _row(job: str, each: tuning_pb2.ClassFigures) -> str:
    name, shares = escape(each.name), (each.recall, each.precision, each.f1)
    cells = "".join(
        f'<td data-value="{value:.6f}"><span class="bar" style="--share:{value:.3f}">'
        f"{share(value)}</span></td>"
        for value in shares
    )
    link = f'<a href="{escape(cell_address(job, each.name))}" data-pictures>{name}</a>'
    return (
        f'<tr><th scope="row" data-value="{name}">{link}</th>'
        f'<td data-value="{each.pictures}">{count(each.pictures)}</td>{cells}</tr>'
    )


def confusion(job: str, results: tuning_pb2.Results, say: Translator) -> str:
    """A table of who was taken for whom; every cell leads to its pictures."""
    found = results.evaluation
    names = [each.name for each in found.classes]
    if len(names) > MOST_CLASSES or not found.confusion:
        return _pairs(job, results, say)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        f"{''.join(_cells(job, found, row, names, say))}</tr>"
        for row, name in enumerate(names)
    )
    short = " short" if max(map(len, names)) <= SHORT else ""
    corner = escape(say("is ↓ taken for →"))
    return (
        '<div class="wide" tabindex="0" role="region" aria-labelledby="confusion">'
        f'<table class="confusion{short}"><thead><tr><td>{corner}</td>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(
    job: str, found: tuning_pb2.Evaluation, row: int, names: list[str], say: Translator
) -> Iterator[str]:
    taken = found.confusion[row * len(names) : (row + 1) * len(names)]
    whole = sum(taken) or 1
    for column, number in enumerate(taken):
        if not number:
            yield '<td class="none">·</td>'
            continue
        kind = "right" if row == column else "wrong"
        label = say(
            "{truth} taken for {said}: {times} ×",
            truth=names[row],
            said=names[column],
            times=number,
        )
        address = escape(cell_address(job, names[row], names[column]))
        yield (
            f'<td class="{kind}" style="--share:{number / whole:.3f}">'
            f'<a href="{address}" data-pictures aria-label="{escape(label)}" '
            f'title="{escape(label)}">{count(number)}</a></td>'
        )


def _pairs(job: str, results: tuning_pb2.Results, say: Translator) -> str:
    """The pairs that were confused most often."""
    shown = results.confused[:MOST_PAIRS]
    lines = (
        (
            say(
                "{truth} taken for {said}: {times} ×",
                truth=each.truth,
                said=each.said,
                times=each.pictures,
            ),
            cell_address(job, each.truth, each.said),
        )
        for each in shown
    )
    items = "".join(
        f'<li><a href="{escape(address)}" data-pictures>{escape(line)}</a></li>'
        for line, address in lines
    )
    classes = len(results.evaluation.classes)
    title = say("The classes that were confused most often, of {count}:", count=classes)
    return f'<p>{escape(title)}</p><ol class="pairs">{items}</ol>'
