"""predict: what a model sees in pictures."""

import csv
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

import click

from netgraft.cli.command import INT64, Command
from netgraft.cli.failure import FAILED
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import tuning_pb2

USUAL_TOP = 5


@click.command(
    "predict",
    cls=Command,
    examples=(
        "netgraft predict resnet50 cat.jpg",
        "netgraft predict 1a2b3c4d ./new --top 1 --csv > new.csv",
        "netgraft predict 1a2b3c4d a.jpg b.png --json",
    ),
)
@model_argument()
@click.argument(
    "pictures",
    metavar="PICTURE|FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=str),
)
@click.option(
    "--top", type=INT64, default=USUAL_TOP, metavar="N", help="Name the N likeliest classes (5)."
)
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV, a line for each class that is named."
)
@weights_option
@pass_session
def predict_command(
    session: Session,
    model: str,
    pictures: tuple[str, ...],
    top: int,
    as_csv: bool,
    weights: str | None,
) -> None:
    """Say which classes MODEL sees in pictures; folders are searched for them.

    A picture is resized and cropped as it was when the model was tuned, and probabilities are
    calibrated where the tuning found how. A picture that cannot be read is named, the others are
    predicted all the same, and the exit code is 1. With --json, one picture a line.
    """
    services = session.services()
    reference = resolve(session, services, model, weights)
    printed: Printer = Csv() if as_csv else Json() if session.json else Text()
    failed = 0
    for reply in _replies(session, services, reference, pictures, top):
        printed.add(reply)
        failed += bool(reply.error)
    if failed:
        click.get_current_context().exit(FAILED)


def _replies(
    session: Session, services: "Services", model: str, places: tuple[str, ...], top: int
) -> "Iterator[tuning_pb2.PredictReply]":
    """Yield a reply for every picture, in order, numbered over all calls."""
    from netgraft.cli.localpictures import questions
    from netgraft.cli.terminal.language import chosen_language, tr
    from netgraft.cli.terminal.transfer import counting_bar
    from netgraft.language import say
    from netgraft.v1 import tuning_pb2

    done = 0
    with counting_bar(tr("pictures"), shown=not session.json and sys.stdout.isatty()) as show:
        for asked in questions(session, places):
            if asked.error:
                name, problem = asked.error
                done += 1
                sentence = say(problem, chosen_language())
                yield tuning_pb2.PredictReply(name=name, error=sentence, done=done, total=done)
                continue
            request = tuning_pb2.PredictRequest(model=model, paths=asked.paths, top=top)
            for name, data in asked.pictures:
                request.pictures.add(name=name, data=data)
            before = done
            for reply in services.tuning.Predict(request):
                done = before + reply.done
                reply.done, reply.total = done, before + reply.total
                show(done, reply.total)
                yield asked.renamed(reply)


class Printer(Protocol):
    """Prints predictions as they come."""

    def add(self, reply: "tuning_pb2.PredictReply") -> None: ...


class Text:
    """For people: a picture's name, and a bar for each class."""

    def add(self, reply: "tuning_pb2.PredictReply") -> None:
        from netgraft.cli.terminal.measured import prediction_lines
        from netgraft.cli.terminal.output import console

        for line, style in prediction_lines(reply):
            console().print(line, style=style, soft_wrap=True)


class Json:
    """A reply a line."""

    def add(self, reply: "tuning_pb2.PredictReply") -> None:
        from netgraft.cli.terminal.output import emit_line

        emit_line(reply)


class Csv:
    """A line for each class that is named, and one for a picture that cannot be read."""

    def __init__(self) -> None:
        self._out = csv.writer(sys.stdout)
        self._out.writerow(["picture", "rank", "class", "index", "probability", "error"])

    def add(self, reply: "tuning_pb2.PredictReply") -> None:
        if reply.error:
            self._out.writerow([reply.name, "", "", "", "", reply.error])
        for rank, each in enumerate(reply.classes, 1):
            share = f"{each.probability:.6f}"
            self._out.writerow([reply.name, rank, each.name, each.index, share, ""])
