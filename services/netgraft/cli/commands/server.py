"""up, token, doctor, completion: run netgraft and check its machine."""

import json
from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command, engine_option
from netgraft.cli.failure import FAILED
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr

if TYPE_CHECKING:
    from collections.abc import Callable

    from netgraft.app import Endpoints

SHELLS = ("bash", "zsh", "fish")


@click.command(
    "up",
    cls=Command,
    server=False,
    examples=(
        "netgraft up",
        "NETGRAFT_GRPC_PORT=9100 NETGRAFT_WEB_PORT=8080 netgraft up",
        "netgraft up --engine ray",
    ),
)
@click.option("--web/--no-web", default=True, help="Start the chat page too (default), or not.")
@engine_option
@click.option("--with-parent", type=int, hidden=True, help="End when this parent ends.")
@pass_session
def up_command(session: Session, web: bool, engine: str | None, with_parent: int | None) -> None:
    """Start everything on this machine and stay until Ctrl-C.

    gRPC on port 9000, the chat page on port 7860, both on loopback; state in ~/.netgraft.
    """
    from netgraft import app
    from netgraft.store.store import default_store

    if with_parent is not None:
        from netgraft.parent import end_with_parent

        end_with_parent(with_parent)
    with app.claimed(web=web):
        default_store().engine.dispose()  # migrated or refused before anything starts
        if not session.json:
            click.echo(tr("Starting…"), err=True)
        app.up(ready=_shown(session, web=web), web=web, engine=engine or "")


def _shown(session: Session, *, web: bool) -> "Callable[[Endpoints], None]":
    def show(endpoints: "Endpoints") -> None:
        if session.json:
            printed = {"grpc": endpoints.grpc, "web": endpoints.web if web else ""}
            printed["login_url"] = endpoints.login_url if web else ""
            click.echo(json.dumps(printed))
            return
        if web:
            click.echo(f"{tr('Chat page')}  {endpoints.login_url}")
            click.echo(
                tr(
                    "The link logs in once, within ten minutes; `netgraft token --link` prints a "
                    "new one."
                )
            )
        click.echo(f"gRPC       {endpoints.grpc}")
        click.echo(tr("Up until Ctrl-C."))

    return show


@click.command(
    "token", cls=Command, server=False, examples=("netgraft token", "netgraft token --link")
)
@click.option(
    "--link",
    is_flag=True,
    help="Print a link to the chat page instead, which logs in once, within ten minutes.",
)
@pass_session
def token_command(session: Session, link: bool) -> None:
    """Print the token that clients of this machine's netgraft need; make it if there is none."""
    from netgraft import codes
    from netgraft.settings import settings

    printed = (
        {"login_url": codes.link(settings().web_url)}
        if link
        else {"token": settings().make_token()}
    )
    click.echo(json.dumps(printed) if session.json else next(iter(printed.values())))


@click.command("doctor", cls=Command, examples=("netgraft doctor", "netgraft doctor --json"))
@pass_session
def doctor_command(session: Session) -> None:
    """Check this machine and say what to fix. Exit code 1 when something must be fixed."""
    from netgraft.cli.checks import examine
    from netgraft.cli.terminal.output import console

    out, found = console(), []
    marks = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
    for finding in examine(session.named, session.running):
        found.append(finding)
        if session.json:
            continue
        mark, style = marks[finding.level]
        out.print(f"{mark} {finding.name:<12} {finding.message}", style=style, soft_wrap=True)
        if finding.advice:
            out.print(f"  {'':<12} → {finding.advice}", soft_wrap=True)
    healthy = all(finding.level != "fail" for finding in found)
    if session.json:
        report = {"ok": healthy, "checks": [finding.__dict__ for finding in found]}
        click.echo(json.dumps(report, ensure_ascii=False))
    if not healthy:
        click.get_current_context().exit(FAILED)


@click.command(
    "completion",
    cls=Command,
    server=False,
    json=False,
    examples=(
        'eval "$(netgraft completion bash)"',
        "netgraft completion fish > ~/.config/fish/completions/netgraft.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and model names in SHELL."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    click.echo(kind(ctx.find_root().command, {}, "netgraft", "_NETGRAFT_COMPLETE").source())
