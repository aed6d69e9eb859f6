"""MODEL arguments: completion of names, and the policy about pretrained weights."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from netgraft.cli.session import Session

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from netgraft.cli.door import Door
    from netgraft.v1 import models_pb2

MODEL_ID = re.compile(r"[0-9A-Fa-f]{8,64}")
WEIGHTS = ("pretrained", "none", "auto")


def complete_model(_: click.Context, __: click.Parameter, typed: str) -> "list[CompletionItem]":
    """Names of the zoo that begin so."""
    from click.shell_completion import CompletionItem

    from netgraft.models.catalogue import entries

    found = [entry for entry in entries() if entry.name.startswith(typed)]
    return [CompletionItem(entry.name, help=entry.task) for entry in found]


def model_argument(name: str = "model") -> Callable[[Any], Any]:
    """A MODEL on the command line."""
    return click.argument(name, metavar=name.upper(), shell_complete=complete_model)


weights_option = click.option(
    "--weights",
    type=click.Choice(WEIGHTS),
    help="For a zoo name: pretrained weights, random ones (none), or pretrained where they can "
    "be had (auto). Default: pretrained.",
)


def policy(weights: str | None) -> int:
    """The WeightsPolicy of a --weights."""
    from netgraft.v1 import models_pb2

    return {
        None: models_pb2.WEIGHTS_POLICY_UNSPECIFIED,
        "pretrained": models_pb2.WEIGHTS_POLICY_UNSPECIFIED,
        "none": models_pb2.WEIGHTS_POLICY_NONE,
        "auto": models_pb2.WEIGHTS_POLICY_PREFERRED,
    }[weights]


def resolve(door: "Door", model: str, weights: str | None) -> str:
    """The reference to send on: the id of a file or where a policy was named, else as typed.

    Says on stderr what the user must be told once, such as that the weights are random.
    """
    from netgraft.models.formats import names_file

    file = names_file(model)
    if weights is None and not file:
        return model
    from netgraft.v1 import models_pb2

    if file and (local := _elsewhere(model)):
        return uploaded(door, local).model.id
    named = _located(model) if file else model
    request = models_pb2.ResolveModelRequest(model=named, weights=policy(weights))  # type: ignore[arg-type]
    found: models_pb2.Model = door.models.ResolveModel(request)
    tell(found.notices)
    return found.id


def uploaded(door: "Door", file: Path) -> "models_pb2.Upload":
    """Send a file to the services; tells the notices of the model that it is."""
    from netgraft.cli.transfer import transfer_bar
    from netgraft.sending import send

    session = click.get_current_context().find_object(Session)
    with transfer_bar(file.name, shown=not (session and session.json)) as show:
        done = send(door.models, file, progress=show)
    tell(done.model.notices)
    return done


def _elsewhere(path: str) -> Path | None:
    """A file of this machine that a server on another must be sent; None when there is none."""
    session = click.get_current_context().find_object(Session)
    found = Path(path).expanduser()
    return found if session is not None and not session.here and found.is_file() else None


def _located(path: str) -> str:
    """A file's whole path when the server is this machine: it may stand in another folder."""
    session = click.get_current_context().find_object(Session)
    found = Path(path).expanduser()
    here = session is not None and session.here
    return str(found.absolute()) if here and found.exists() else path


def tell(notices: Iterable[str]) -> None:
    """Print notices, each once in a call, where they disturb no reader of results.

    Not of a model that was given by its id: whoever has the id was told when it was made.
    """
    context = click.get_current_context()
    if MODEL_ID.fullmatch(str(context.params.get("model", ""))):
        return
    told = context.meta.setdefault("netgraft.cli.told", set())
    for notice in notices:
        if notice not in told:
            told.add(notice)
            click.echo(click.style(f"! {notice}", fg="yellow"), err=True)
