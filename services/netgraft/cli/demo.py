"""The demo: a whole netgraft, and one sentence carried out through its gRPC services."""

import secrets
import signal
import sys
from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Word
from netgraft.cli.failure import FAILED
from netgraft.cli.language import spoken, tr
from netgraft.cli.session import Session, pass_session

if TYPE_CHECKING:
    from netgraft.cli.child import Running
    from netgraft.cli.story import Outcome

SENTENCE = "show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs"
LOG = "demo.log"


@click.command(
    "demo",
    cls=Word,
    server=False,
    json=False,
    examples=("netgraft demo", "netgraft demo --no-stay"),
)
@click.option("--stay/--no-stay", default=True, help="Stay up until Ctrl-C afterwards.")
@pass_session
def demo_command(session: Session, stay: bool) -> None:
    """Start everything and carry out one sentence, for real:

    show mobilenet_v2, retarget to 10 classes, fine-tune on digits for 2 epochs

    Pretrained weights are used where they can be had. Exit code 0 only if every step succeeded.
    """
    from netgraft import app
    from netgraft.cli.child import netgraft_up
    from netgraft.cli.output import console
    from netgraft.settings import settings

    app.check_ports()
    log = settings().folder / LOG
    starting = tr(
        "Starting netgraft (15 s, or 40 on two cores)…",
        "正在启动 netgraft（约 15 秒，双核机器约 40 秒）…",
    )
    if not sys.stdout.isatty():
        click.echo(starting)
    waiting = console().status(starting)
    with waiting, netgraft_up(log) as running:
        waiting.stop()
        click.echo(f"{tr('Chat page', '聊天页')}  {running.page('/')}")
        click.echo(f"gRPC       {running.grpc}\n")
        outcome = _carry_out(session, running)
        succeeded = outcome.failure is None and outcome.job is not None
        if succeeded:
            _sum_up(outcome, running)
        if succeeded and stay:
            _stay(running)
        click.echo(tr("Ending…", "正在结束…"), err=True)
    if not succeeded:
        click.get_current_context().exit(FAILED)


def _carry_out(session: Session, running: "Running") -> "Outcome":
    """As `netgraft do SENTENCE --yes --weights auto` does."""
    from netgraft.cli.output import console
    from netgraft.cli.reference import policy
    from netgraft.cli.story import PlainTelling, tell
    from netgraft.cli.talk import consent, show_plan, understood
    from netgraft.client import Client
    from netgraft.v1 import agent_pb2

    conversation = f"demo-{secrets.token_hex(6)}"
    with Client(running.grpc, language=spoken()) as door:
        click.echo(f"> {SENTENCE}")
        plan = understood(session, door, SENTENCE, conversation)
        show_plan(session, plan)
        token = consent(session, door, plan, conversation, yes=True)
        request = agent_pb2.RunRequest(
            steps=plan.steps,
            conversation_id=conversation,
            consent_token=token,
            weights=policy("auto"),  # type: ignore[arg-type]
        )
        return tell(door.agent.Run(request), PlainTelling(console(), running.page))


def _sum_up(outcome: "Outcome", running: "Running") -> None:
    from netgraft.cli.output import console
    from netgraft.cli.view import facts

    assert outcome.job is not None
    pages = [running.page(page) for page in outcome.pages]
    out = console()
    out.print()
    out.print(
        facts(
            [
                (tr("accuracy", "准确率"), f"{100 * outcome.job.metrics['accuracy']:.1f} %"),
                (tr("model", "模型"), outcome.job.result_model),
                (tr("chat page", "聊天页"), running.page("/")),
                *((tr("picture", "图"), page) for page in pages),
            ]
        )
    )


def _stay(running: "Running") -> None:
    """Until Ctrl-C, or until netgraft ends by itself."""
    click.echo(tr("Up until Ctrl-C.", "按 Ctrl-C 结束。"))
    try:
        running.process.wait()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return
    from netgraft.errors import Unreachable

    raise Unreachable(address=running.grpc)
