"""The edits except retarget: each makes a new model and prints its id."""

from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import print_notices
from netgraft.errors import InvalidValue
from netgraft.language import Message

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Value

    from netgraft.v1 import surgery_pb2


def pair(text: str, option: str) -> tuple[str, str]:
    """Split KEY=VALUE. Raises UsageError."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and value):
        problem = tr(
            "{option} takes two names with = between them, not {text!r}.", option=option, text=text
        )
        raise click.UsageError(problem)
    return key, value


@click.command(
    "freeze",
    cls=Command,
    examples=("netgraft freeze resnet50 backbone", "netgraft freeze resnet50 conv1 'layer[1-3]'"),
)
@model_argument()
@click.argument("layers", nargs=-1, required=True)
@weights_option
@pass_session
def freeze_command(
    session: Session, model: str, layers: tuple[str, ...], weights: str | None
) -> None:
    """Stop LAYERS of MODEL from training: module paths or patterns, or backbone, head, all."""
    _set_training(session, model, layers, weights, trains=False)


@click.command("unfreeze", cls=Command, examples=("netgraft unfreeze 1a2b3c4d layer4 fc",))
@model_argument()
@click.argument("layers", nargs=-1, required=True)
@weights_option
@pass_session
def unfreeze_command(
    session: Session, model: str, layers: tuple[str, ...], weights: str | None
) -> None:
    """Let LAYERS of MODEL train again: module paths or patterns, or backbone, head, all."""
    _set_training(session, model, layers, weights, trains=True)


def _set_training(
    session: Session, model: str, layers: tuple[str, ...], weights: str | None, *, trains: bool
) -> None:
    """Freeze or unfreeze the layers of a model, and print the model that comes of it."""
    from netgraft.v1 import surgery_pb2

    services = session.services()
    reference = resolve(session, services, model, weights)
    if trains:
        thawed = surgery_pb2.UnfreezeLayersRequest(model=reference, layers=layers)
        reply = services.surgery.UnfreezeLayers(thawed)
    else:
        frozen = surgery_pb2.FreezeLayersRequest(model=reference, layers=layers)
        reply = services.surgery.FreezeLayers(frozen)
    print_edited(session, reply)


def _complete_loss(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    from netgraft.models.losses.catalogue import LOSSES

    return [loss for loss in LOSSES if loss.startswith(typed)]


@click.command("set-loss", cls=Command, examples=("netgraft set-loss resnet50 focal",))
@model_argument()
@click.argument("loss", shell_complete=_complete_loss)
@weights_option
@pass_session
def set_loss_command(session: Session, model: str, loss: str, weights: str | None) -> None:
    """Choose the LOSS that training minimises.

    One of cross_entropy, label_smoothing, focal, bce, mse, l1, huber, dice.
    """
    from netgraft.v1 import surgery_pb2

    services = session.services()
    request = surgery_pb2.SetLossRequest(
        model=resolve(session, services, model, weights), loss=loss
    )
    print_edited(session, services.surgery.SetLoss(request))


@click.command(
    "replace",
    cls=Command,
    examples=(
        "netgraft replace resnet18 layer1.0.relu GELU --arg approximate=tanh",
        "netgraft replace resnet18 bn1 GroupNorm --arg num_groups=8 --arg num_channels=64",
    ),
)
@model_argument()
@click.argument("path")
@click.argument("layer", metavar="CLASS")
@click.option(
    "--arg",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="An argument of the layer: a number, true, false, null, or a string.",
)
@weights_option
@pass_session
def replace_command(
    session: Session,
    model: str,
    path: str,
    layer: str,
    arguments: tuple[str, ...],
    weights: str | None,
) -> None:
    """Replace the module at PATH of MODEL by the layer CLASS of torch.nn.

    The model is run again: an edit that would change the shape of an output is refused.
    """
    from netgraft.v1 import surgery_pb2

    given = dict(pair(text, "--arg") for text in arguments)
    services = session.services()
    request = surgery_pb2.ReplaceModuleRequest(
        model=resolve(session, services, model, weights),
        path=path,
        type=layer,
        arguments={name: _value(text) for name, text in given.items()},
    )
    print_edited(session, services.surgery.ReplaceModule(request))


def _value(text: str) -> "Value":
    """Parse a value as JSON; text that is not JSON is a string."""
    import json

    from google.protobuf import json_format
    from google.protobuf.struct_pb2 import Value

    try:
        return json_format.ParseDict(json.loads(text), Value())
    except ValueError:
        return Value(string_value=text)


@click.command("dropout", cls=Command, examples=("netgraft dropout resnet50 0.3",))
@model_argument()
@click.argument("p", type=float)
@weights_option
@pass_session
def dropout_command(session: Session, model: str, p: float, weights: str | None) -> None:
    """Set the dropout before each head of MODEL to the probability P.

    It acts in training only, and no tensor of the model gets another name.
    """
    from netgraft.v1 import surgery_pb2

    services = session.services()
    request = surgery_pb2.SetDropoutRequest(model=resolve(session, services, model, weights), p=p)
    print_edited(session, services.surgery.SetDropout(request))


@click.command(
    "lora",
    cls=Command,
    examples=(
        "netgraft lora vit_b_16",
        "netgraft lora 1a2b3c4d --rank 16 --alpha 32 --targets 'blocks.*.attn' --dropout 0.1",
    ),
)
@model_argument()
@click.option("--rank", type=click.IntRange(1, 256), metavar="R", help="Default: 8.")
@click.option("--alpha", type=float, help="Adapters are scaled by alpha / rank. Default: 2 × rank.")
@click.option("--dropout", type=float, metavar="P", help="Dropout before the adapters. Default: 0.")
@click.option(
    "--targets",
    multiple=True,
    metavar="LAYERS",
    help="Module paths or patterns; may be given several times. Default: the whole backbone.",
)
@weights_option
@pass_session
def lora_command(
    session: Session,
    model: str,
    rank: int | None,
    alpha: float | None,
    dropout: float | None,
    targets: tuple[str, ...],
    weights: str | None,
) -> None:
    """Add low-rank adapters (LoRA) to the layers of MODEL's backbone.

    From then on only the adapters and the head train. Exports merge the adapters into the weights;
    the formats python and state_dict keep them.

    Needs `pip install 'netgraft[lora]'`.
    """
    from netgraft.v1 import surgery_pb2

    if alpha == 0:  # 0 stands for "not given" in the request
        raise InvalidValue(name="alpha", value=0, expected=Message("above 0"))
    services = session.services()
    request = surgery_pb2.AddLoraRequest(
        model=resolve(session, services, model, weights),
        rank=rank or 0,
        alpha=alpha or 0,
        dropout=dropout or 0,
        targets=targets,
    )
    print_edited(session, services.surgery.AddLora(request))


@click.command("undo", cls=Command, examples=("netgraft undo 1a2b3c4d",))
@model_argument()
@pass_session
def undo_command(session: Session, model: str) -> None:
    """Go back to the model before the last edit of MODEL."""
    from netgraft.v1 import surgery_pb2

    services = session.services()
    request = surgery_pb2.UndoEditRequest(model=resolve(session, services, model))
    print_edited(session, services.surgery.UndoEdit(request))


def print_edited(session: Session, reply: "surgery_pb2.EditReply") -> None:
    """Print what an edit did and the new model's id; with --json the reply itself."""
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import edit_view

    print_notices(reply.model.notices)
    if session.json:
        emit(reply)
        return
    out = console()
    out.print(reply.summary, soft_wrap=True)
    for part in edit_view(reply):
        out.print(part)
