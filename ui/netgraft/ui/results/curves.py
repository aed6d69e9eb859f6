"""The curves of a results page, and their numbers."""

from collections.abc import Iterator
from html import escape

from netgraft.language import Translator, in_context, mark
from netgraft.ui.figures import count, share
from netgraft.ui.results.charts import Line, chart
from netgraft.ui.results.history import History, thinned
from netgraft.v1.tuning_pb2 import JobEvent

TRAINING = in_context("a curve", "training")
HELD_BACK_NAME = mark("held-back training pictures")
PROBE_NAME = mark("the probe")


def curves(history: History, say: Translator, *, lives: bool) -> str:
    """The curves with a table of their numbers; why there are none, where that is so."""
    if history.training or history.epochs:
        return f'<div class="charts">{"".join(_charts(history, say))}</div>{_epochs(history, say)}'
    if lives or not history.models:
        return ""
    text = say(
        "There are no curves: the result is the probe, a head on the features of the frozen "
        "network, which is computed to convergence and not trained step by step."
    )
    return f"<p>{escape(text)}</p>"


def _charts(history: History, say: Translator) -> Iterator[str]:
    steps, rate = say("Step"), say("Learning rate")
    accuracy = say("Accuracy on held-back training pictures")
    yield chart(accuracy, steps, _measured(history, "accuracy", say), percent=True)
    training = Line(say(TRAINING), "training", thinned(history.training))
    yield chart(say("Loss"), steps, [training, *_measured(history, "loss", say)])
    yield chart(rate, steps, [Line(rate, "training", thinned(history.rates))])


def _measured(history: History, name: str, say: Translator) -> list[Line]:
    """The curve of a figure on held-back pictures, and the probe's as a level line."""
    points = history.measured(name)
    lines = [Line(say(HELD_BACK_NAME), "held-back", points)]
    probe = history.probe(name)
    ends = [0, max([*history.training, *history.epochs], default=1)]
    if probe is not None:
        lines.append(Line(say(PROBE_NAME), "probe", [(end, probe) for end in ends]))
    return lines


def _epochs(history: History, say: Translator) -> str:
    """The same numbers as a table."""
    if not history.epochs:
        return ""
    names = (say("Epoch"), say("Step"), say("Accuracy"), say("Loss"))
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in names)
    rows = "".join(_epoch(event) for _, event in sorted(history.epochs.items()))
    title = escape(say("Every epoch in numbers"))
    return (
        f"<details><summary>{title}</summary><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></details>"
    )


def _epoch(event: JobEvent) -> str:
    accuracy = event.metrics.get("held_back_accuracy")
    loss = event.metrics.get("held_back_loss", event.loss)
    cells = (
        count(event.epoch),
        count(event.step),
        "" if accuracy is None else share(accuracy),
        f"{loss:.4g}",
    )
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
