"""How a data set is read: the options that every command with a data set has."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from netgraft.v1 import tuning_pb2

OPTIONS = {
    "kind": click.option("--kind", metavar="NAME", help="folder, archive, table or digits."),
    "columns": click.option(
        "--columns", metavar="LIST", help="Of a table: path=…,label=…,split=…,group=…, any of them."
    ),
    "split": click.option(
        "--split",
        metavar="make|LIST",
        help="make, or which parts are which: train=…,held_out=…,test=….",
    ),
    "val_share": click.option(
        "--val-share", type=float, metavar="X", help="Share that is held out (0.2)."
    ),
    "group": click.option(
        "--group", metavar="HOW", help="Keeps pictures together: a column, parent or prefix:SEP."
    ),
    "task": click.option("--task", metavar="NAME", help="classification."),
}
NAMES = tuple(OPTIONS)


def data_options(command: Callable[..., Any], without: str = "") -> Callable[..., Any]:
    """Give a command the options that say how its data set is read, without one of them."""
    for name in reversed(NAMES):
        if name != without:
            command = OPTIONS[name](command)
    return command


def options_message(given: Mapping[str, Any]) -> "tuning_pb2.DataOptions":
    """Return the options that were given as a message."""
    from netgraft.v1 import tuning_pb2

    said = {name: given[name] for name in NAMES if given.get(name) is not None}
    return tuning_pb2.DataOptions(**said)
