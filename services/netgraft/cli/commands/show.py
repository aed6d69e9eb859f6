"""show, inspect, diff, models: search for models, draw them and compare them."""

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from netgraft.cli.command import INT64, Command
from netgraft.cli.commands.export import refuse_overwriting, writing
from netgraft.cli.reference import complete_model, model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import print_notices
from netgraft.errors import InvalidValue
from netgraft.language import Message

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import graph_pb2

SOURCES = ("torchvision", "timm", "hf", "local")
TASKS = ("classification", "segmentation", "detection", "video", "optical_flow")
PICTURES = (".svg", ".png", ".html")
DOCUMENTS = (".onnx", ".json", *PICTURES)
LENSES = ("trainable", "parameters", "flops", "activations", "change", "gradient")
NETRON = "https://netron.app"


@click.command(
    "show",
    cls=Command,
    examples=(
        "netgraft show resnet50",
        "netgraft show resnet50 -o resnet50.svg --open layer4 --lens flops",
        "netgraft show resnet50 -o resnet50.html",
        "netgraft show timm/convnext_tiny --focus stages.3 --server 127.0.0.1:9000",
    ),
)
@model_argument()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the graph to a file: a picture (.svg, .png), a page that opens offline (.html), "
    "a document for Netron (.onnx) or for programs (.json).",
)
@click.option("--focus", default="", metavar="PATH", help="Module to start at, such as layer4.")
@click.option("--open", "opened", multiple=True, metavar="PATH", help="Module to open; repeatable.")
@click.option("--lens", type=click.Choice(LENSES), default=None, help="What the colours show.")
@click.option(
    "--batch",
    type=INT64,
    default=1,
    metavar="N",
    help="Batch size of a lens (1).",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@weights_option
@pass_session
def show_command(
    session: Session,
    *,
    model: str,
    output: Path | None,
    focus: str,
    opened: tuple[str, ...],
    lens: str | None,
    batch: int,
    force: bool,
    weights: str | None,
) -> None:
    """Draw the graph of MODEL.

    With a server: prints the address of the page that shows it. Without one: says what the graph
    holds, and writes it to a file with -o.
    """
    from netgraft.cli.terminal.output import emit
    from netgraft.v1 import graph_pb2

    if output:
        _check_output(output, force=force)
    services = session.services()
    request = graph_pb2.DrawGraphRequest(
        model=resolve(session, services, model, weights), focus=focus, lens=lens or "", open=opened
    )
    graph = services.graphs.DrawGraph(request)
    if output:
        seen = graph.page.partition("?")[2]
        extra = urlencode({"batch": batch})
        _write(services, graph, output, "&".join(filter(None, (seen, extra))))
    if session.json:
        emit(graph)
        return
    _print_graph(session, graph, output)


def _check_output(file: Path, *, force: bool) -> None:
    """Check the file before anything is drawn. Raises InvalidValue and WouldOverwrite."""
    if file.suffix.lower() not in DOCUMENTS:
        raise InvalidValue(
            name="-o",
            value=file,
            expected=Message("a file named {endings}", endings=DOCUMENTS),
        )
    refuse_overwriting(file, force=force)


def _write(services: "Services", graph: "graph_pb2.Graph", file: Path, query: str) -> None:
    """Write the drawing: as a picture, as a page, or as its document."""
    from netgraft.v1 import graph_pb2

    suffix = file.suffix.lower()
    name = f"graph{suffix}" if suffix in PICTURES else f"model{suffix}"
    request = graph_pb2.GetViewerFileRequest(model_id=graph.model_id, path=name, query=query)
    data = services.graphs.GetViewerFile(request).data
    with writing(file) as out:
        out.write(data)


def _print_graph(session: Session, graph: "graph_pb2.Graph", output: Path | None) -> None:
    from netgraft.cli.terminal.output import console, duration, exact, size
    from netgraft.cli.terminal.view import facts

    how = duration(graph.seconds) if graph.seconds else tr("from the cache")
    page = session.page_address(graph.page)
    out = console()
    out.print(
        facts(
            [
                (tr("model"), graph.model_id),
                (tr("title"), graph.title),
                (tr("parameters"), exact(graph.parameters)),
                (tr("trainable"), exact(graph.trainable_parameters)),
                (tr("boxes"), exact(graph.top_level_nodes)),
                (tr("operators"), exact(graph.operators)),
                (tr("document"), f"{size(graph.document_bytes)}, {graph.method}, {how}"),
                (tr("page"), page),
                (tr("file"), str(output or "")),
            ]
        )
    )
    if not page and not output:
        hint = tr(
            "To see it: `netgraft up` and the chat page, or `netgraft show MODEL -o "
            "graph.html` and open that file in a browser (graph.onnx: in Netron, {netron}).",
            netron=NETRON,
        )
        out.print(hint, soft_wrap=True)


@click.command(
    "inspect",
    cls=Command,
    examples=(
        "netgraft inspect resnet50",
        "netgraft inspect resnet50 --depth 2 --batch 32",
        "netgraft inspect timm/vit_tiny_patch16_224 --json",
    ),
)
@model_argument()
@click.option(
    "--depth", type=INT64, default=1, metavar="N", help="Levels of the table, 0 for all (1)."
)
@click.option("--batch", type=INT64, default=1, metavar="N", help="Batch size to count for (1).")
@weights_option
@pass_session
def inspect_command(
    session: Session, model: str, depth: int, batch: int, weights: str | None
) -> None:
    """Describe MODEL: heads, parameters, FLOPs, input, and a table of its modules."""
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import inspection_view, modules_view
    from netgraft.v1 import graph_pb2, surgery_pb2

    services = session.services()
    resolved = resolve(session, services, model, weights)
    reply = services.surgery.InspectModel(surgery_pb2.InspectModelRequest(model=resolved))
    request = graph_pb2.ListModulesRequest(model=resolved, depth=depth, batch=batch)
    table = services.graphs.ListModules(request)
    print_notices(reply.model.notices)
    if session.json:
        emit(reply, modules=table.rows)
        return
    for part in (*inspection_view(reply), *modules_view(table)):
        console().print(part)


@click.command("diff", cls=Command, examples=("netgraft diff resnet50 1a2b3c4d",))
@model_argument("a")
@model_argument("b")
@pass_session
def diff_command(session: Session, a: str, b: str) -> None:
    """Compare models A and B, module by module."""
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import diff_view, facts
    from netgraft.v1 import graph_pb2

    services = session.services()
    request = graph_pb2.CompareGraphsRequest(
        a=resolve(session, services, a), b=resolve(session, services, b)
    )
    reply = services.graphs.CompareGraphs(request)
    if session.json:
        emit(reply)
        return
    for part in diff_view(reply):
        console().print(part)
    if page := session.page_address(reply.page):
        console().print(facts([(tr("page"), page)]), soft_wrap=True)


@click.command(
    "models",
    cls=Command,
    examples=(
        "netgraft models resnet",
        "netgraft models --task segmentation",
        "netgraft models vit --max-params 30000000 --min-accuracy 80 --json",
        "netgraft models --max-flops 1000000000 --licence apache",
        "netgraft models --on-disk",
        "netgraft models --source local",
    ),
)
@click.argument("query", nargs=-1, shell_complete=complete_model)
@click.option("--task", type=click.Choice(TASKS), default=None, help="Task of the model.")
@click.option("--source", type=click.Choice(SOURCES), default=None, help="Where the model is from.")
@click.option("--max-params", type=INT64, default=0, metavar="N", help="Most parameters.")
@click.option(
    "--min-accuracy",
    type=float,
    default=0.0,
    metavar="PERCENT",
    help="Least ImageNet-1K top-1.",
)
@click.option("--max-flops", type=INT64, default=0, metavar="N", help="Most FLOPs for one image.")
@click.option(
    "--image-size", type=INT64, default=0, metavar="PIXELS", help="Side of the input, such as 224."
)
@click.option(
    "--licence", default="", metavar="TEXT", help="Beginning of the weights' licence: apache, mit."
)
@click.option("--on-disk", is_flag=True, help="Only models whose weights are on the server's disk.")
@click.option("--limit", type=INT64, default=0, metavar="N", help="Show at most N (50).")
@pass_session
def models_command(
    session: Session,
    *,
    query: tuple[str, ...],
    task: str | None,
    source: str | None,
    max_params: int,
    min_accuracy: float,
    max_flops: int,
    image_size: int,
    licence: str,
    on_disk: bool,
    limit: int,
) -> None:
    """Search for models whose names contain the words of QUERY.

    Besides the zoo, it lists Hugging Face models that are on this machine, files that were opened
    and models that were trained; the last two by their ids, newest first.
    """
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import models_view
    from netgraft.v1 import models_pb2

    request = models_pb2.ListModelsRequest(
        query=" ".join(query),
        task=task or "",
        source=source or "",
        max_params=max_params,
        min_accuracy=min_accuracy,
        max_flops=max_flops,
        image_size=image_size,
        licence=licence,
        on_disk=on_disk,
        limit=limit,
    )
    reply = session.services().models.ListModels(request)
    if session.json:
        emit(reply)
        return
    for part in models_view(reply):
        console().print(part)
