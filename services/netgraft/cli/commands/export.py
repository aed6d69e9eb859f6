"""export: a model as a file, written completely or not at all."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from netgraft.cli.command import Command
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.errors import WouldOverwrite

if TYPE_CHECKING:
    from netgraft.v1 import models_pb2

FORMATS = {
    ".safetensors": "safetensors",
    ".pth": "state_dict",
    ".pt2": "pt2",
    ".onnx": "onnx",
    ".pt": "torchscript",
    ".py": "python",
    ".md": "card",
    ".svg": "svg",
    ".png": "png",
}
"""The format for each suffix of a file."""

STDOUT = Path("-")


@click.command(
    "export",
    cls=Command,
    examples=(
        "netgraft export resnet50 -o resnet50.onnx",
        "netgraft export 1a2b3c4d -o flowers.onnx --with-preprocessing",
        "netgraft export 1a2b3c4d --format python -o rebuild.py",
        "netgraft export 1a2b3c4d --format card -o -",
    ),
)
@model_argument()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The file; `-` prints it.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice(tuple(FORMATS.values())),
    help="By default the format of the file's suffix.",
)
@click.option(
    "--with-preprocessing",
    is_flag=True,
    help="onnx, pt2: the file takes pictures (uint8) and answers with probabilities.",
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@weights_option
@pass_session
def export_command(
    session: Session,
    model: str,
    output: Path | None,
    kind: str | None,
    with_preprocessing: bool,
    force: bool,
    weights: str | None,
) -> None:
    """Write MODEL to a file that other programs read.

    The file carries the names of the classes, the preprocessing and the temperature.
    """
    from netgraft.v1 import models_pb2

    kind = kind or FORMATS.get(output.suffix.lower() if output else "")
    if kind is None:
        suffixes = ", ".join(FORMATS)
        hint = tr("Give a format: --format, or -o FILE with one of {suffixes}.", suffixes=suffixes)
        raise click.UsageError(hint)
    if output and output != STDOUT:
        refuse_overwriting(output, force=force)
    services = session.services()
    reference = resolve(session, services, model, weights)
    request = models_pb2.ExportModelRequest(
        model=reference, format=kind, with_preprocessing=with_preprocessing
    )
    if output == STDOUT:
        _print(services.models.ExportModel(request))
        return
    written, size = _receive(services.models.ExportModel(request), output, force=force)
    _report(session, written, size, kind)


def refuse_overwriting(file: Path, *, force: bool) -> None:
    """Raise WouldOverwrite when the file exists and may not be replaced."""
    if file.exists() and not force:
        raise WouldOverwrite(path=file)


def _print(chunks: "Iterator[models_pb2.FileChunk]") -> None:
    """Write the stream to standard output."""
    for chunk in chunks:
        sys.stdout.buffer.write(chunk.data)


def _receive(
    chunks: "Iterator[models_pb2.FileChunk]", output: Path | None, *, force: bool
) -> tuple[Path, int]:
    """Write the stream to `output`, or under the name it suggests; return the file and its size."""
    first = next(chunks)
    file = output or Path(Path(first.name).name)
    refuse_overwriting(file, force=force)
    with writing(file) as out, _bar(file.name, first.size) as advance:
        out.write(first.data)
        advance(len(first.data))
        for chunk in chunks:
            out.write(chunk.data)
            advance(len(chunk.data))
    return file, file.stat().st_size


@contextmanager
def writing(file: Path) -> Iterator[BinaryIO]:
    """Open a file that gets its name when it is complete; an incomplete one is removed."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        opened = part.open("wb")
    except OSError as error:  # names the file that was asked for, not the one beside it
        raise OSError(error.errno, error.strerror, str(file)) from error
    try:
        with opened as out:
            yield out
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _bar(label: str, size: int) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from netgraft.cli.terminal.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console(stderr=True)) as progress:
        task = progress.add_task(label, total=size)
        yield lambda number: progress.advance(task, number)


def _report(session: Session, file: Path, size: int, kind: str) -> None:
    if session.json:
        import json

        written = {"file": str(file), "format": kind, "bytes": size}
        click.echo(json.dumps(written, ensure_ascii=False))
        return
    from netgraft.cli.terminal.output import size as readable

    click.echo(f"{file}  {readable(size)}  {kind}")
