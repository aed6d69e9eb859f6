"""demo: start netgraft and carry out one sentence through its gRPC services."""

import secrets
import signal
import sys
from functools import partial
from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command, engine_option
from netgraft.cli.failure import FAILED
from netgraft.cli.leaving import leave_job
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import chosen_language, tr

if TYPE_CHECKING:
    from netgraft.cli.child import Running
    from netgraft.cli.services import Services
    from netgraft.cli.terminal.run import Outcome
    from netgraft.client import Client

MODEL = "resnet18"
SENTENCE = f"show {MODEL}, retarget to 10 classes, fine-tune on digits for 2 epochs with 1 worker"
"""From random weights resnet18 classifies 97 % of the held-out digits correctly after two epochs;
mobilenet_v2 needs more than four. A second worker takes longer to start than it saves."""
LOG = "demo.log"


@click.command(
    "demo",
    cls=Command,
    server=False,
    json=False,
    examples=("netgraft demo", "netgraft demo --no-stay", "netgraft demo --engine ray"),
)
@click.option("--stay/--no-stay", default=True, help="Stay up until Ctrl-C afterwards.")
@engine_option
@pass_session
def demo_command(session: Session, stay: bool, engine: str | None) -> None:
    """Start everything and carry out one sentence:

    show resnet18, retarget to 10 classes, fine-tune on digits for 2 epochs with 1 worker

    Pretrained weights are used if they are on this machine; nothing is downloaded. The exit code is
    0 only if every step succeeded.
    """
    from netgraft.cli.child import netgraft_up
    from netgraft.cli.terminal.output import console
    from netgraft.client import Client
    from netgraft.settings import settings

    log = settings().folder / LOG
    starting = tr("Starting netgraft…")
    if not sys.stdout.isatty():
        click.echo(starting)
    waiting = console().status(starting)
    chosen = ("--engine", engine) if engine else ()
    with waiting, netgraft_up(log, *chosen) as running:
        waiting.stop()
        session.own = running
        click.echo(f"{tr('Chat page')}  {running.page('/')}")
        click.echo(f"gRPC       {running.grpc}\n")
        with Client(running.grpc, language=chosen_language()) as services:
            weights = local_weights(services)
            outcome = _carry_out(session, running, services, weights)
        succeeded = outcome.failure is None and outcome.job is not None
        if succeeded:
            _sum_up(outcome, running, weights)
        if succeeded and stay:
            _stay(running)
        click.echo(tr("Ending…"), err=True)
    if not succeeded:
        click.get_current_context().exit(FAILED)


def _carry_out(session: Session, running: "Running", services: "Client", weights: str) -> "Outcome":
    """Do what `netgraft do SENTENCE --yes --weights WEIGHTS` does."""
    from netgraft.cli.commands.plan import carry_out, consent, plan_sentence, show_plan
    from netgraft.cli.terminal.output import console
    from netgraft.cli.terminal.run import TextView, show_events

    conversation = f"demo-{secrets.token_hex(6)}"
    click.echo(f"> {SENTENCE}")
    plan = plan_sentence(session, services, SENTENCE, conversation)
    show_plan(session, plan)
    token = consent(services, plan, conversation)
    events = carry_out(services, plan, conversation, token, weights)
    leave = partial(leave_job, session, services)
    return show_events(events, TextView(console(), running.page), leave)


def local_weights(services: "Services") -> str:
    """Return the demo's --weights: "pretrained" if these are on the server's disk, else "none".

    They are not downloaded: over a slow connection that would take longer than all the rest.
    """
    from netgraft.v1 import models_pb2

    request = models_pb2.ListModelsRequest(query=MODEL, on_disk=True)
    found = {entry.name: entry for entry in services.models.ListModels(request).entries}
    here = MODEL in found and found[MODEL].weights[0] in found[MODEL].on_disk
    return "pretrained" if here else "none"


def _starting_weights(weights: str) -> str:
    if weights == "pretrained":
        return tr("pretrained weights")
    fetch = f"netgraft prefetch {MODEL}"
    return tr(
        "random weights; the pretrained ones are not on this machine (`{fetch}` downloads them)",
        fetch=fetch,
    )


def _sum_up(outcome: "Outcome", running: "Running", weights: str) -> None:
    from netgraft.cli.terminal.output import console
    from netgraft.cli.terminal.view import facts

    assert outcome.job is not None
    pages = [running.page(page) for page in outcome.pages]
    out = console()
    out.print()
    out.print(
        facts(
            [
                (tr("accuracy"), f"{100 * outcome.job.metrics['accuracy']:.1f} %"),
                (tr("began from"), _starting_weights(weights)),
                (tr("model"), outcome.job.result_model),
                (tr("chat page"), running.page("/")),
                *((tr("picture"), page) for page in pages),
            ]
        )
    )


def _stay(running: "Running") -> None:
    """Wait for Ctrl-C. Raises Unreachable when netgraft ends by itself."""
    click.echo(tr("Up until Ctrl-C."))
    try:
        running.process.wait()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return
    from netgraft.errors import Unreachable

    raise Unreachable(address=running.grpc)
