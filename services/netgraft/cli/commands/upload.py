"""upload: send a model's file to the server."""

from pathlib import Path

import click

from netgraft.cli.command import Command
from netgraft.cli.localfiles import upload
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr


@click.command(
    "upload",
    cls=Command,
    examples=(
        "netgraft upload net.pth --server gpu-box:9000",
        "netgraft upload net.pth --json | jq -r .model.id",
    ),
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@pass_session
def upload_command(session: Session, file: Path) -> None:
    """Send FILE to the server and print the id of its model.

    A broken upload continues where it stopped, and a file that the server already has is not sent
    again. Files that hold no model, or that could do harm, are refused. The other commands send a
    file by themselves when the server may not read it.
    """
    from netgraft.cli.terminal.output import emit

    done = upload(session, session.services(), file)
    if session.json:
        emit(done)
        return
    click.echo(f"{done.model.id}  {done.model.title}")
    click.echo(tr("Next: {command}", command=f"netgraft show {done.model.id[:12]}"))
