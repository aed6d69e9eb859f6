"""data check: what a data set holds, and what is wrong with it."""

from typing import TYPE_CHECKING, Any

import click

from netgraft.cli.command import Command, Group
from netgraft.cli.dataoptions import data_options, options_message
from netgraft.cli.failure import FAILED
from netgraft.cli.localfiles import data_folder, data_reference
from netgraft.cli.reference import resolve
from netgraft.cli.session import Session, pass_session

if TYPE_CHECKING:
    from netgraft.v1 import tuning_pb2


@click.group(
    "data", cls=Group, server=False, json=False, examples=("netgraft data check ./flowers",)
)
def data_command() -> None:
    """Look at a data set before it is trained on."""


@data_command.command(
    "check",
    cls=Command,
    examples=(
        "netgraft data check ./flowers",
        "netgraft data check ./labels.csv --columns path=File,label=Kind",
        "netgraft data check ./flowers --fix --json",
    ),
)
@click.argument("data")
@click.option("--model", metavar="MODEL", help="A model that the data are meant for.")
@click.option("--fix", is_flag=True, help="Write a list without the files at fault.")
@data_options
@pass_session
def check_command(
    session: Session, /, data: str, model: str | None, fix: bool, **options: Any
) -> None:
    """Read every picture of DATA and say what is wrong with it.

    Exits with an error if a finding would stop a training. Nobody's files are touched: --fix writes
    a list, which can be given as DATA itself.
    """
    from rich.table import Table

    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.report import report_view
    from netgraft.v1 import tuning_pb2

    services = session.services()
    request = tuning_pb2.CheckDataRequest(
        data=data_reference(session, data),
        options=options_message(options),
        model=resolve(session, services, model) if model else "",
        fix=fix,
    )
    report = _checked(session, data, request)
    if session.json:
        emit(report)
    else:
        for part in report_view(report):
            console().print(part, soft_wrap=not isinstance(part, Table))
    if any(finding.severity == "error" for finding in report.findings):
        click.get_current_context().exit(FAILED)


def _checked(
    session: Session, data: str, request: "tuning_pb2.CheckDataRequest"
) -> "tuning_pb2.DataReport":
    """Return the report of a check, with a bar while it goes on."""
    from netgraft.cli.terminal.transfer import last_counted
    from netgraft.v1 import tuning_pb2

    services = session.services()
    folder = data_folder(session, data)
    reader = session.services_for(folder, services) if folder else services
    last = last_counted(reader.tuning.CheckData(request), data, shown=not session.json)
    return (last or tuning_pb2.CheckDataReply()).report
