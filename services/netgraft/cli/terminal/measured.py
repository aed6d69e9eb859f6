"""Predictions and evaluations for people: bars, figures, and who was taken for whom."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import table
from netgraft.cli.terminal.view import facts
from netgraft.language import in_context

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from netgraft.v1 import tuning_pb2

BAR = 24
"""Columns of a bar that stands for 1."""
EIGHTHS = " ▏▎▍▌▋▊▉"
MOST_COLUMNS = 12
"""Classes of a confusion table; for more, the pairs that were confused most often are listed."""
MOST_PAIRS = 10
MOST_CLASSES = 30
"""Classes whose figures are shown; of more, those with the lowest recall."""
MOST_MISTAKES = 10


def bar(share: float, width: int = BAR) -> str:
    """Return a share from 0 to 1 as a bar of at most `width` columns."""
    whole, part = divmod(round(max(0.0, min(1.0, share)) * width * 8), 8)
    return "█" * whole + (EIGHTHS[part] if part else "")


def percent(share: float) -> str:
    """Format a share: 96.7 %."""
    return f"{100 * share:.1f} %"


def prediction_lines(reply: "tuning_pb2.PredictReply") -> Iterator[tuple[str, str]]:
    """Yield the lines about a picture, each with a style."""
    if reply.error:
        named = reply.name in reply.error
        yield reply.error if named else f"{reply.name}: {reply.error}", "red"
        return
    yield reply.name, "bold"
    width = max((len(each.name) for each in reply.classes), default=0)
    for each in reply.classes:
        line = f"  {each.name:<{width}}  {percent(each.probability):>7}  {bar(each.probability)}"
        yield line.rstrip(), ""


def predictions_view(replies: "Iterable[tuning_pb2.PredictReply]") -> "Text":
    """Return all lines about pictures as one text."""
    from rich.text import Text

    shown = Text()
    for reply in replies:
        for line, style in prediction_lines(reply):
            shown.append(f"{line}\n", style=style)
    return shown


def evaluation_view(found: "tuning_pb2.Evaluation") -> "Iterator[RenderableType]":
    """Yield the figures, those of each class, the confusion and the worst mistakes."""
    yield facts(figure_rows(found))
    yield _classes(found)
    if len(found.classes) <= MOST_COLUMNS:
        yield _confusion(found)
    elif pairs := confused(found)[:MOST_PAIRS]:
        numbers = (tr("times"),)
        made = table(tr("class"), tr("taken for"), *numbers, right=numbers)
        for times, truth, said in pairs:
            made.add_row(truth, said, str(times))
        yield made
    if found.mistakes:
        yield _mistakes(found)


def figure_rows(found: "tuning_pb2.Evaluation") -> list[tuple[str, str]]:
    """Return the figures of the whole part, by name."""
    low, high = percent(found.accuracy_low), percent(found.accuracy_high)
    between = tr("95 % interval {low} to {high}", low=low, high=high)
    accuracy = f"{percent(found.accuracy)}  ({found.correct}/{found.pictures}; {between})"
    return [
        (tr("model"), found.model),
        (tr("data"), f"{found.data} · {found.part}"),
        (tr("accuracy"), accuracy),
        *_without_leaks(found),
        (tr("largest class"), percent(found.majority)),
        (tr("balanced accuracy"), percent(found.balanced_accuracy)),
        (tr("macro F1"), percent(found.macro_f1)),
        (tr("log loss"), f"{found.loss:.4g}"),
        (tr("calibration error"), percent(found.calibration_error)),
    ]


def _without_leaks(found: "tuning_pb2.Evaluation") -> Iterator[tuple[str, str]]:
    """Yield the accuracy on pictures of which no copy was trained on, where there are others."""
    if found.leaked:
        said = tr(
            "{accuracy}  ({leaked:,} of the pictures are copies of some that it was trained on; "
            "95 % interval {low} to {high})",
            accuracy=percent(found.accuracy_without_leaks),
            leaked=found.leaked,
            low=percent(found.accuracy_without_leaks_low),
            high=percent(found.accuracy_without_leaks_high),
        )
        yield tr("without leaks"), said


def confused(found: "tuning_pb2.Evaluation") -> list[tuple[int, str, str]]:
    """Return how often which class was taken for which other, the most frequent first."""
    names = [each.name for each in found.classes]
    cells = [
        (found.confusion[row * len(names) + column], truth, said)
        for row, truth in enumerate(names)
        for column, said in enumerate(names)
        if row != column
    ]
    return sorted((cell for cell in cells if cell[0]), key=lambda cell: -cell[0])


def _classes(found: "tuning_pb2.Evaluation") -> "Table":
    numbers = (tr("pictures"), tr("recall"), tr(in_context("of a class", "precision")), "F1")
    made = table(tr("class"), *numbers, "", right=numbers)
    worst = sorted(found.classes, key=lambda each: each.recall)[:MOST_CLASSES]
    for each in found.classes:
        if len(found.classes) <= MOST_CLASSES or each in worst:
            shares = (percent(each.recall), percent(each.precision), percent(each.f1))
            made.add_row(each.name, str(each.pictures), *shares, bar(each.recall, BAR // 2))
    return made


def _confusion(found: "tuning_pb2.Evaluation") -> "Table":
    names = [each.name for each in found.classes]
    made = table(tr("is ↓   taken for →"), *names, right=tuple(names))
    for row, name in enumerate(names):
        cells = found.confusion[row * len(names) : (row + 1) * len(names)]
        shown = [str(cell) if cell else "·" for cell in cells]
        shown[row] = f"[{cells[row]}]"
        made.add_row(name, *shown)
    return made


def _mistakes(found: "tuning_pb2.Evaluation") -> "Table":
    numbers = (tr("sure"),)
    made = table(tr("worst mistakes"), tr("is"), tr("taken for"), *numbers, right=numbers)
    for each in found.mistakes[:MOST_MISTAKES]:
        made.add_row(each.file, each.truth, each.said, percent(each.probability))
    return made
