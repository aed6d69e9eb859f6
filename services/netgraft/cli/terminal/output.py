"""Output in general: JSON for programs, tables, notices and formatted numbers for people.

Knows nothing of what the numbers mean.
"""

import json
import re
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message
    from rich.console import Console
    from rich.table import Table

MODEL_ID = re.compile(r"[0-9A-Fa-f]{8,64}")
UNITS = ("", "k", "M", "G", "T", "P")

PIPED_WIDTH = 200
"""Columns where there is no terminal: wide enough not to break a row."""


def emit(message: "Message", **lists: "Iterable[Message]") -> None:
    """Print a reply as its protobuf JSON: indented on a terminal, else on one line.

    `lists` are further fields, each a list of messages.
    """
    document = json.loads(_json(message, None))
    for name, items in lists.items():
        document[name] = [json.loads(_json(item, None)) for item in items]
    click.echo(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def emit_line(message: "Message") -> None:
    """Print one message of a stream as JSON on a line of its own."""
    click.echo(_json(message, None))


def _json(message: "Message", indent: int | None) -> str:
    from google.protobuf.json_format import MessageToJson

    return MessageToJson(
        message,
        preserving_proto_field_name=True,
        unquote_int64_if_possible=True,
        ensure_ascii=False,
        indent=indent,
    )


def console(*, stderr: bool = False) -> "Console":
    """Return a console; where there is no terminal, one without colour and with wide lines."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    if not made.is_terminal:
        made.width = PIPED_WIDTH
    return made


def table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """Return an empty table; the columns named in `right` are aligned right."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return made


def print_notices(notices: "Iterable[str]") -> None:
    """Print notices on stderr, each once in a call.

    Not for a model that is given by its id: its notices were printed when it was made.
    """
    context = click.get_current_context()
    if MODEL_ID.fullmatch(str(context.params.get("model", ""))):
        return
    printed = context.meta.setdefault("netgraft.cli.notices", set())
    for notice in notices:
        if notice not in printed:
            printed.add(notice)
            click.echo(click.style(f"! {notice}", fg="yellow"), err=True)


def count(number: int) -> str:
    """Format a large number in three digits: 25.6M."""
    scaled, unit = _scaled(number)
    return f"{scaled}{unit}"


def exact(number: int) -> str:
    """Format a whole number with separated thousands: 25,557,032."""
    return f"{number:,}"


def size(number: int) -> str:
    """Format bytes: 102 MB."""
    scaled, unit = _scaled(number)
    return f"{scaled} {unit}B"


def _scaled(number: int) -> tuple[str, str]:
    power = 0
    while number / 1000**power >= 999.5 and power < len(UNITS) - 1:
        power += 1
    return (f"{number / 1000**power:.3g}" if power else str(number)), UNITS[power]


def duration(seconds: float) -> str:
    """Format seconds: 0.4 s, 1:05, 2:03:04."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
