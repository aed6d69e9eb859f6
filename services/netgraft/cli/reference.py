"""MODEL arguments: completion, resolution, and the policy about pretrained weights."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from netgraft.cli.localfiles import model_reference
from netgraft.cli.session import Session
from netgraft.cli.terminal.output import print_notices

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from netgraft.cli.services import Services

WEIGHTS = ("pretrained", "none", "auto")


def complete_model(_: click.Context, __: click.Parameter, typed: str) -> "list[CompletionItem]":
    """Return names of the zoo that begin with `typed`."""
    from click.shell_completion import CompletionItem

    from netgraft.models.zoo.catalogue import entries

    found = [entry for entry in entries() if entry.name.startswith(typed)]
    return [CompletionItem(entry.name, help=entry.task) for entry in found]


def model_argument(name: str = "model") -> Callable[[Any], Any]:
    """Return a decorator that adds the argument MODEL to a command."""
    return click.argument(name, metavar=name.upper(), shell_complete=complete_model)


weights_option = click.option(
    "--weights",
    type=click.Choice(WEIGHTS),
    help="For a zoo name: pretrained weights, random ones (none), or pretrained if "
    "available (auto). Default: pretrained.",
)


def policy(weights: str | None) -> int:
    """Return the WeightsPolicy of a --weights."""
    from netgraft.v1 import models_pb2

    return {
        None: models_pb2.WEIGHTS_POLICY_UNSPECIFIED,
        "pretrained": models_pb2.WEIGHTS_POLICY_UNSPECIFIED,
        "none": models_pb2.WEIGHTS_POLICY_NONE,
        "auto": models_pb2.WEIGHTS_POLICY_PREFERRED,
    }[weights]


def resolve(session: Session, services: "Services", model: str, weights: str | None = None) -> str:
    """Return the reference to send: an id for a file or with --weights, else MODEL as typed.

    Prints notices on stderr, such as that the weights are random.
    """
    from netgraft.models.sources.file import names_file
    from netgraft.v1 import models_pb2

    file = names_file(model)
    if weights is None and not file:
        return model
    named = model_reference(session, services, model) if file else model
    request = models_pb2.ResolveModelRequest(model=named, weights=policy(weights))  # type: ignore[arg-type]
    found = services.models.ResolveModel(request)
    print_notices(found.notices)
    return found.id
