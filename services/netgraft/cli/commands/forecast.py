"""forecast: how long a tuning would take, what it would cost and reach."""

import click

from netgraft.cli.command import Command
from netgraft.cli.commands.tune import finetune_command, spec_of
from netgraft.cli.session import Session, pass_session

NOT_MEANT = ("detach",)
"""Options of finetune that say nothing about what is trained."""


@click.command(
    "forecast",
    cls=Command,
    examples=(
        "netgraft forecast resnet50 --data ./flowers",
        "netgraft forecast 1a2b3c4d --data digits --epochs 5 --batch-size 64",
        "netgraft forecast 1a2b3c4d --data ./flowers --quick --json",
    ),
)
@click.option("--quick", is_flag=True, help="By earlier runs alone: nothing is measured.")
@pass_session
def forecast_command(
    session: Session,
    /,
    model: str,
    data: str,
    weights: str | None,
    quick: bool,
    **options: int | float | str | None,
) -> None:
    """Estimate the time, the cost and the accuracy of `netgraft finetune` with these options.

    Nothing is trained. Some of the pictures are read and run through MODEL, which takes seconds.
    Each range holds with a probability of 90 %.
    """
    from netgraft.cli.terminal.expected import forecast_view
    from netgraft.cli.terminal.language import tr
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.transfer import last_counted
    from netgraft.v1 import tuning_pb2

    services = session.services()
    spec = spec_of(session, services, model, data, weights, options)
    request = tuning_pb2.ForecastRequest(spec=spec, quick=quick)
    replies = services.tuning.Forecast(request)
    last = last_counted(replies, tr("measuring"), shown=not session.json)
    found = last or tuning_pb2.ForecastReply()
    if session.json:
        emit(found)
        return
    for part in forecast_view(found):
        console().print(part)


_own = {each.name for each in forecast_command.params}
forecast_command.params[:0] = [
    each for each in finetune_command.params if each.name not in {*_own, *NOT_MEANT}
]
