"""retarget: replace the heads for other classes."""

from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command
from netgraft.cli.commands.edit import pair, print_edited
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.errors import InvalidClasses

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import tuning_pb2

CLASS_MEANS = "class_means"
INT64_BITS = 63


@click.command(
    "retarget",
    cls=Command,
    examples=(
        "netgraft retarget resnet50 --classes 100",
        "netgraft retarget vit_b_16 --class-names cat,dog,bird --json",
        "netgraft retarget mobilenet_v2 --class-names tabby,beagle,fox --map fox=red_fox",
        "netgraft retarget 1a2b3c4d --class-names cat,dog,fox --init zeros",
        "netgraft retarget resnet50 --init class_means --data ./flowers",
    ),
)
@model_argument()
@click.option("--classes", metavar="N", help="Number of new classes, or their names: a,b,c.")
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
    help="The class NEW takes the weights of the model's class OLD: a name, or an index as #277.",
)
@click.option(
    "--init",
    metavar="HOW",
    help="How to initialise classes that keep no weights: library (default) or zeros. fresh: no "
    "class keeps its weights. class_means: all classes are initialised from --data.",
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
    """Replace the head or heads of MODEL so that it distinguishes N classes.

    Each head's input size follows from the model. Classes whose names the model knows keep their
    weights. MODEL itself is never changed: the result is a new model, and its id is printed.
    """
    from netgraft.v1 import surgery_pb2

    if classes and "," in classes and not names:
        classes, names = None, classes
    named = [name.strip() for name in names.split(",")] if names and names.strip() else []
    if data and init is None:
        init = CLASS_MEANS
    if bool(data) != (init == CLASS_MEANS):
        problem = tr("Give --data DATA with --init class_means, and only with it.")
        raise click.UsageError(problem)
    if classes is None and not named and not data:
        problem = tr("Give the classes: --classes N, or --class-names a,b,c.")
        raise click.UsageError(problem)
    count = _count(classes) if classes is not None else 0
    services = session.services()
    reference = resolve(session, services, model, weights)
    means = _class_means(session, services, reference, data) if data else None
    request = surgery_pb2.RetargetModelRequest(
        model=reference,
        classes=count,
        class_names=named or (means.class_names if means else ()),
        init=init or "",
        class_map=dict(pair(text, "--map") for text in mapped),
        means=means.means if means else "",
    )
    print_edited(session, services.surgery.RetargetModel(request))


def _count(text: str) -> int:
    """Return a number of classes. Raises InvalidClasses."""
    try:
        count = int(text)
    except ValueError as error:
        raise InvalidClasses(classes=text) from error
    if count == 0 or count.bit_length() > INT64_BITS:  # 0 stands for "not given" in the request
        raise InvalidClasses(classes=count)
    return count


def _class_means(
    session: Session, services: "Services", model: str, data: str
) -> "tuning_pb2.FeatureMeans":
    """Return the mean input of the main head for each class of a data set."""
    from netgraft.cli.localfiles import data_folder, data_reference
    from netgraft.cli.terminal.transfer import counting_bar
    from netgraft.v1 import surgery_pb2, tuning_pb2

    inspected = services.surgery.InspectModel(surgery_pb2.InspectModelRequest(model=model))
    head = next((head.path for head in inspected.heads if head.classes), "")
    request = tuning_pb2.MeanFeaturesRequest(
        model=model, layer=head, data=data_reference(session, data)
    )
    folder = data_folder(session, data)
    reader = session.services_for(folder, services) if folder else services
    last = tuning_pb2.FeatureMeans()
    with counting_bar(data, shown=not session.json) as show:
        for last in reader.tuning.MeanFeatures(request):
            show(last.done, last.total)
    return last
