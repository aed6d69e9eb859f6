"""evaluate: how well a model does on a part of a data set."""

import csv
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from netgraft.cli.command import Command
from netgraft.cli.dataoptions import data_options, options_message
from netgraft.cli.localfiles import data_reference
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session

if TYPE_CHECKING:
    from netgraft.v1 import tuning_pb2

SPLITS = ("train", "held_out", "test", "all")


@click.command(
    "evaluate",
    cls=Command,
    examples=(
        "netgraft evaluate 1a2b3c4d",
        "netgraft evaluate 1a2b3c4d --data ./flowers --split test",
        "netgraft evaluate 1a2b3c4d --data ./flowers --csv > figures.csv",
    ),
)
@model_argument()
@click.option("--data", default="", help="As in finetune; by default what MODEL was tuned on.")
@click.option(
    "--split",
    default="held_out",
    metavar="NAME",
    help="The part to measure on: train, held_out, test or all; or parts as in finetune.",
)
@partial(data_options, without="split")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV, a line for each class.")
@weights_option
@pass_session
def evaluate_command(
    session: Session,
    /,
    model: str,
    data: str,
    split: str,
    as_csv: bool,
    weights: str | None,
    **options: Any,
) -> None:
    """Measure MODEL on a data set that has its classes.

    Classes are matched by their names. The accuracy comes with its 95 % interval and the share of
    the largest class, which always naming that class would reach.
    """
    from netgraft.cli.terminal.language import tr
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.transfer import last_counted
    from netgraft.v1 import tuning_pb2

    services = session.services()
    reference = resolve(session, services, model, weights)
    given = data_reference(session, data) if data else ""
    is_part = split in SPLITS
    request = tuning_pb2.EvaluateRequest(
        model=reference,
        data=given,
        part=split if is_part else "",
        options=options_message(options if is_part else {**options, "split": split}),
    )
    replies = services.tuning.Evaluate(request)
    last = last_counted(replies, tr("pictures"), shown=not session.json)
    found = (last or tuning_pb2.EvaluateReply()).evaluation
    if as_csv:
        _print_csv(found)
    elif session.json:
        emit(found)
    else:
        from netgraft.cli.terminal.measured import evaluation_view

        for part in evaluation_view(found):
            console().print(part)


def _print_csv(found: "tuning_pb2.Evaluation") -> None:
    out = csv.writer(sys.stdout)
    names = [each.name for each in found.classes]
    out.writerow(
        ["class", "pictures", "recall", "precision", "f1", *(f"as {name}" for name in names)]
    )
    for row, each in enumerate(found.classes):
        taken = found.confusion[row * len(names) : (row + 1) * len(names)]
        shares = (f"{value:.6f}" for value in (each.recall, each.precision, each.f1))
        out.writerow([each.name, each.pictures, *shares, *taken])
