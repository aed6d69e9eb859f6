"""prefetch: download pretrained weights before they are needed."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command
from netgraft.cli.reference import complete_model, resolve
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.transfer import transfer_bar

if TYPE_CHECKING:
    from netgraft.v1 import models_pb2


@click.command(
    "prefetch",
    cls=Command,
    examples=(
        "netgraft prefetch resnet50 timm/convnext_tiny",
        "netgraft prefetch resnet50@IMAGENET1K_V1",
        "HTTPS_PROXY=http://proxy:3128 netgraft prefetch vit_b_16",
    ),
)
@click.argument(
    "models", metavar="MODEL...", nargs=-1, required=True, shell_complete=complete_model
)
@pass_session
def prefetch_command(session: Session, models: tuple[str, ...]) -> None:
    """Download the pretrained weights of each MODEL.

    A broken download continues where it stopped, also in a later call, and its hash is checked.
    With --json, each line is the progress of one download.
    """
    from netgraft.v1 import models_pb2

    services = session.services()
    for model in models:
        request = models_pb2.PrefetchWeightsRequest(model=resolve(session, services, model))
        _follow(session, model, services.models.PrefetchWeights(request))


def _follow(session: Session, model: str, stream: "Iterator[models_pb2.PrefetchProgress]") -> None:
    from netgraft.cli.terminal.output import emit_line, size

    last, first = None, None
    with transfer_bar(model, shown=not session.json) as show:
        for last in stream:
            first = first or last
            show(last.done_bytes, last.total_bytes)
            if session.json:
                emit_line(last)
    if last is None or first is None or session.json:
        return
    there = first.done_bytes == first.total_bytes
    how = tr("was there already") if there else tr("downloaded")
    click.echo(f"{last.base}  {size(last.total_bytes)}  {last.file}  {how}")
