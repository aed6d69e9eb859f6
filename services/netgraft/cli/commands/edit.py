"""The edits, from retarget to undo: each makes a new model and prints its id."""

from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Word
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import tell
from netgraft.errors import InvalidClasses, InvalidValue
from netgraft.language import Message

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Value

    from netgraft.cli.services import Door
    from netgraft.v1 import surgery_pb2, tuning_pb2

CLASS_MEANS = "class_means"
INT64_BITS = 63


@click.command(
    "retarget",
    cls=Word,
    examples=(
        "netgraft retarget resnet50 --classes 100",
        "netgraft retarget vit_b_16 --class-names cat,dog,bird --json",
        "netgraft retarget mobilenet_v2 --class-names tabby,beagle,fox --map fox=red_fox",
        "netgraft retarget 1a2b3c4d --class-names cat,dog,fox --init zeros",
        "netgraft retarget resnet50 --init class_means --data ./flowers",
    ),
)
@model_argument()
@click.option("--classes", metavar="N", help="Classes of the new head; or their names: a,b,c.")
@click.option(
    "--class-names",
    "--names",
    "names",
    metavar="A,B,…",
    help="Names of the classes in index order, separated by commas.",
)
@click.option(
    "--map",
    "mapped",
    multiple=True,
    metavar="NEW=OLD",
    help="The class NEW takes the weights of the model's class OLD: a name, or a place as #277.",
)
@click.option(
    "--init",
    metavar="HOW",
    help="How classes start that keep no weights: library (default) or zeros. fresh: none "
    "keeps its weights. class_means: all start from --data.",
)
@click.option(
    "--data",
    metavar="DATA",
    help="With --init class_means: a folder of pictures, or digits. Its classes are the new ones.",
)
@weights_option
@pass_session
def retarget_command(
    session: Session,
    model: str,
    *,
    classes: str | None,
    names: str | None,
    mapped: tuple[str, ...],
    init: str | None,
    data: str | None,
    weights: str | None,
) -> None:
    """Replace the head or heads of MODEL so that it tells N classes apart.

    The size that each head reads is read off the model. Classes whose names the model knows
    keep their weights. MODEL itself is never changed: the result is a new model, and its id is
    printed.
    """
    from netgraft.v1 import surgery_pb2

    if classes and "," in classes and not names:
        classes, names = None, classes
    named = [name.strip() for name in names.split(",")] if names and names.strip() else []
    if data and init is None:
        init = CLASS_MEANS
    if bool(data) != (init == CLASS_MEANS):
        told = tr("--init class_means and --data DATA go together.")
        raise click.UsageError(told)
    if classes is None and not named and not data:
        told = tr("Say how many classes: --classes N, or --class-names a,b,c.")
        raise click.UsageError(told)
    count = _count(classes) if classes is not None else 0
    door = session.door()
    reference = resolve(session, door, model, weights)
    means = _measured(session, door, reference, data) if data else None
    request = surgery_pb2.RetargetModelRequest(
        model=reference,
        classes=count,
        class_names=named or (means.class_names if means else ()),
        init=init or "",
        class_map=dict(_pair(text, "--map") for text in mapped),
        means=means.means if means else "",
    )
    _print(session, door.surgery.RetargetModel(request))


def _count(text: str) -> int:
    """A number of classes that can be asked for. Raises InvalidClasses."""
    try:
        count = int(text)
    except ValueError as error:
        raise InvalidClasses(classes=text) from error
    if count == 0 or count.bit_length() > INT64_BITS:  # 0: on the wire no number was said
        raise InvalidClasses(classes=count)
    return count


def _measured(session: Session, door: "Door", model: str, data: str) -> "tuning_pb2.FeatureMeans":
    """What the main head of a model reads for each class of a data set, on average."""
    from netgraft.cli.localfiles import data_folder, located
    from netgraft.cli.terminal.transfer import counting_bar
    from netgraft.v1 import surgery_pb2, tuning_pb2

    inspected = door.surgery.InspectModel(surgery_pb2.InspectModelRequest(model=model))
    head = next((head.path for head in inspected.heads if head.classes), "")
    request = tuning_pb2.MeanFeaturesRequest(model=model, layer=head, data=located(session, data))
    folder = data_folder(session, data)
    near = session.door_to(folder, door) if folder else door
    last = tuning_pb2.FeatureMeans()
    with counting_bar(data, shown=not session.json) as show:
        for last in near.tuning.MeanFeatures(request):
            show(last.done, last.total)
    return last


def _pair(text: str, option: str) -> tuple[str, str]:
    """The two sides of KEY=VALUE."""
    key, equals, value = (part.strip() for part in text.partition("="))
    if not (key and equals and value):
        told = tr(
            "{option} takes two names with = between them, not {text!r}.", option=option, text=text
        )
        raise click.UsageError(told)
    return key, value


@click.command(
    "freeze",
    cls=Word,
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
    from netgraft.v1 import surgery_pb2

    door = session.door()
    reference = resolve(session, door, model, weights)
    request = surgery_pb2.FreezeLayersRequest(model=reference, layers=layers)
    _print(session, door.surgery.FreezeLayers(request))


@click.command("unfreeze", cls=Word, examples=("netgraft unfreeze 1a2b3c4d layer4 fc",))
@model_argument()
@click.argument("layers", nargs=-1, required=True)
@weights_option
@pass_session
def unfreeze_command(
    session: Session, model: str, layers: tuple[str, ...], weights: str | None
) -> None:
    """Let LAYERS of MODEL train again: module paths or patterns, or backbone, head, all."""
    from netgraft.v1 import surgery_pb2

    door = session.door()
    reference = resolve(session, door, model, weights)
    request = surgery_pb2.UnfreezeLayersRequest(model=reference, layers=layers)
    _print(session, door.surgery.UnfreezeLayers(request))


def _complete_loss(_: click.Context, __: click.Parameter, typed: str) -> list[str]:
    from netgraft.models.losses.catalogue import LOSSES

    return [loss for loss in LOSSES if loss.startswith(typed)]


@click.command("set-loss", cls=Word, examples=("netgraft set-loss resnet50 focal",))
@model_argument()
@click.argument("loss", shell_complete=_complete_loss)
@weights_option
@pass_session
def set_loss_command(session: Session, model: str, loss: str, weights: str | None) -> None:
    """Choose the LOSS that training minimises.

    One of cross_entropy, label_smoothing, focal, bce, mse, l1, huber, dice.
    """
    from netgraft.v1 import surgery_pb2

    door = session.door()
    request = surgery_pb2.SetLossRequest(model=resolve(session, door, model, weights), loss=loss)
    _print(session, door.surgery.SetLoss(request))


@click.command(
    "replace",
    cls=Word,
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
    help="An argument of the layer: a number, true, false, null, or a word.",
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
    """Put the layer CLASS of torch.nn in the place of the module at PATH of MODEL.

    The model is run again: where an output would change its shape, nothing is changed.
    """
    from netgraft.v1 import surgery_pb2

    given = dict(_pair(text, "--arg") for text in arguments)
    door = session.door()
    request = surgery_pb2.ReplaceModuleRequest(
        model=resolve(session, door, model, weights),
        path=path,
        type=layer,
        arguments={name: _value(text) for name, text in given.items()},
    )
    _print(session, door.surgery.ReplaceModule(request))


def _value(text: str) -> "Value":
    """What a word means in JSON; a string where it is no JSON."""
    import json

    from google.protobuf import json_format
    from google.protobuf.struct_pb2 import Value

    try:
        return json_format.ParseDict(json.loads(text), Value())
    except ValueError:
        return Value(string_value=text)


@click.command("dropout", cls=Word, examples=("netgraft dropout resnet50 0.3",))
@model_argument()
@click.argument("p", type=float)
@weights_option
@pass_session
def dropout_command(session: Session, model: str, p: float, weights: str | None) -> None:
    """Set the dropout before each head of MODEL to the probability P.

    It works in training only. No tensor of the model changes its name.
    """
    from netgraft.v1 import surgery_pb2

    door = session.door()
    request = surgery_pb2.SetDropoutRequest(model=resolve(session, door, model, weights), p=p)
    _print(session, door.surgery.SetDropout(request))


@click.command(
    "lora",
    cls=Word,
    examples=(
        "netgraft lora vit_b_16",
        "netgraft lora 1a2b3c4d --rank 16 --alpha 32 --targets 'blocks.*.attn' --dropout 0.1",
    ),
)
@model_argument()
@click.option("--rank", type=click.IntRange(1, 256), metavar="R", help="Default: 8.")
@click.option("--alpha", type=float, help="The adapters' share is alpha / rank. Default: 2 × rank.")
@click.option("--dropout", type=float, metavar="P", help="Before the adapters. Default: 0.")
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
    """Put low-rank adapters (LoRA) beside the layers of MODEL's backbone.

    From then on only they and the head train. Exported, the model has them added to its weights
    and is a plain one; as python with its state_dict it keeps them.

    Needs `pip install 'netgraft[lora]'`.
    """
    from netgraft.v1 import surgery_pb2

    if alpha == 0:  # on the wire 0 means that none was said
        raise InvalidValue(name="alpha", value=0, expected=Message("above 0"))
    door = session.door()
    request = surgery_pb2.AddLoraRequest(
        model=resolve(session, door, model, weights),
        rank=rank or 0,
        alpha=alpha or 0,
        dropout=dropout or 0,
        targets=targets,
    )
    _print(session, door.surgery.AddLora(request))


@click.command("undo", cls=Word, examples=("netgraft undo 1a2b3c4d",))
@model_argument()
@pass_session
def undo_command(session: Session, model: str) -> None:
    """Go back to the model before the last edit of MODEL."""
    from netgraft.v1 import surgery_pb2

    door = session.door()
    request = surgery_pb2.UndoEditRequest(model=resolve(session, door, model))
    _print(session, door.surgery.UndoEdit(request))


def _print(session: Session, reply: "surgery_pb2.EditReply") -> None:
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import edit_view

    tell(reply.model.notices)
    if session.json:
        emit(reply)
        return
    out = console()
    out.print(reply.summary, soft_wrap=True)
    for part in edit_view(reply):
        out.print(part)
