"""finetune, jobs, status, watch, cancel, resume: training, which runs at the server."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from netgraft.cli.command import INT64, Command
from netgraft.cli.dataoptions import NAMES, data_options, options_message
from netgraft.cli.failure import FAILED
from netgraft.cli.follow import ended, follow
from netgraft.cli.leaving import leave_job
from netgraft.cli.localfiles import data_reference
from netgraft.cli.reference import model_argument, resolve, weights_option
from netgraft.cli.session import Session, pass_session

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import tuning_pb2

F = TypeVar("F", bound=Callable[..., Any])

STATES = ("queued", "preparing", "running", "succeeded", "failed", "cancelled", "paused")


def ceiling_options(command: F) -> F:
    """Add the options of ceilings to a command."""
    for name, metavar, text in (
        ("--max-cost", "X", "Most money, by the server's price of an hour; as --max-minutes."),
        ("--max-minutes", "N", "Most minutes, waiting and storing included; the best is kept."),
    ):
        command = click.option(name, type=float, metavar=metavar, help=text)(command)
    return command


@click.command(
    "finetune",
    cls=Command,
    examples=(
        "netgraft finetune 1a2b3c4d --data digits --epochs 2",
        "netgraft finetune 1a2b3c4d --data ./flowers --lr 0.01 --workers 2 --detach",
        "netgraft finetune 1a2b3c4d --data ./flowers --max-minutes 10",
    ),
)
@model_argument()
@click.option(
    "--data", required=True, help="digits, a folder with one folder per class, an archive, a table."
)
@data_options
@click.option("--epochs", type=INT64, metavar="N", help="Passes over the training set.")
@click.option("--lr", type=float, metavar="X", help="Peak learning rate.")
@click.option("--batch-size", type=INT64, metavar="N", help="Examples per step, over all workers.")
@click.option("--optimizer", metavar="NAME", help="sgd, adam or adamw.")
@click.option("--loss", metavar="NAME", help="A loss as in set-loss; by default the model's.")
@click.option("--workers", type=INT64, metavar="N", help="Training processes.")
@click.option("--device", metavar="cpu|gpu", help="Device of the training processes.")
@click.option("--precision", metavar="NAME", help="fp32, bf16 or fp16.")
@click.option("--strategy", metavar="NAME", help="full, probe (the head only) or auto.")
@click.option("--image-size", type=INT64, metavar="PIXELS", help="Side of the square input.")
@click.option(
    "--seed",
    type=INT64,
    metavar="N",
    help="The same seed gives the same numbers.",
)
@click.option("--augment", metavar="NAME", help="none, light or strong: how pictures are varied.")
@click.option("--mirror/--no-mirror", default=None, help="Mirror half of the training pictures.")
@click.option("--mixup", type=float, metavar="X", help="Blend pairs of pictures, by Beta(X, X).")
@click.option("--label-smoothing", type=float, metavar="X", help="Spread X of each target.")
@click.option("--balance", metavar="NAME", help="none, weights or sampling, for rare classes.")
@click.option(
    "--skip-bad", type=float, metavar="X", help="Leave out pictures that cannot be read, up to X."
)
@ceiling_options
@click.option("--detach", is_flag=True, help="Do not wait for the end.")
@weights_option
@pass_session
def finetune_command(
    session: Session,
    /,
    model: str,
    data: str,
    weights: str | None,
    detach: bool,
    **options: int | float | str | None,
) -> None:
    """Train MODEL on a data set, and follow the job to its end.

    Options that are not given get the server's defaults, which the job states. When no netgraft
    runs, one is started for this command. Ctrl-C leaves the job running; with a netgraft of the
    command's own it stops the job, which `netgraft resume` continues.
    """
    from netgraft.cli.terminal.output import emit
    from netgraft.v1 import tuning_pb2

    services = session.client() if detach else session.trainer()
    spec = spec_of(session, services, model, data, weights, options)
    job = services.tuning.StartTuning(tuning_pb2.StartTuningRequest(spec=spec))
    if not detach:
        _follow_to_end(session, services, job)
    elif session.json:
        emit(job)
    else:
        _print_job(session, job)


def spec_of(
    session: Session,
    services: "Services",
    model: str,
    data: str,
    weights: str | None,
    options: Mapping[str, int | float | str | None],
) -> "tuning_pb2.TuningSpec":
    """Return what is asked for by the options of finetune."""
    from netgraft.v1 import tuning_pb2

    given = {
        name: value for name, value in options.items() if value is not None and name not in NAMES
    }
    reference = resolve(session, services, model, weights)
    return tuning_pb2.TuningSpec(
        model=reference,
        data=data_reference(session, data),
        options=options_message(options),
        **given,  # type: ignore[arg-type]
    )


@click.command(
    "jobs",
    cls=Command,
    examples=(
        "netgraft jobs",
        "netgraft jobs --state running --json",
        "netgraft jobs --forecasts",
    ),
)
@click.option("--state", type=click.Choice(STATES), help="Only jobs in this state.")
@click.option("--limit", type=INT64, default=0, metavar="N", help="Show at most N (50).")
@click.option("--forecasts", is_flag=True, help="Show what was expected beside what came.")
@pass_session
def jobs_command(session: Session, state: str | None, limit: int, forecasts: bool) -> None:
    """List tuning jobs, newest first."""
    from netgraft.cli.terminal.expected import forecasts_view
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import jobs_view
    from netgraft.v1 import tuning_pb2

    wanted = tuning_pb2.JobState.Value(f"JOB_STATE_{(state or 'unspecified').upper()}")
    request = tuning_pb2.ListJobsRequest(state=wanted, limit=limit)
    reply = session.services().tuning.ListJobs(request)
    if session.json:
        emit(reply)
        return
    for part in forecasts_view(reply) if forecasts and reply.jobs else jobs_view(reply):
        console().print(part)


@click.command("status", cls=Command, examples=("netgraft status tune-20261123-7f3a9c",))
@click.argument("job")
@pass_session
def status_command(session: Session, job: str) -> None:
    """Print the state of JOB."""
    from netgraft.v1 import tuning_pb2

    _print_job(session, session.services().tuning.GetJob(tuning_pb2.GetJobRequest(id=job)))


@click.command("cancel", cls=Command, examples=("netgraft cancel tune-20261123-7f3a9c",))
@click.argument("job")
@pass_session
def cancel_command(session: Session, job: str) -> None:
    """Stop JOB. Its last checkpoint is kept, and `netgraft resume` continues from it."""
    from netgraft.v1 import tuning_pb2

    _print_job(session, session.client().tuning.CancelJob(tuning_pb2.CancelJobRequest(id=job)))


@click.command(
    "resume",
    cls=Command,
    examples=(
        "netgraft resume tune-20261123-7f3a9c --watch",
        "netgraft resume tune-20261123-7f3a9c --epochs 10",
    ),
)
@click.argument("job")
@click.option(
    "--epochs", type=INT64, metavar="N", help="N more epochs, with a schedule of their own."
)
@click.option(
    "--skip-bad", type=float, metavar="X", help="Leave out pictures that cannot be read, up to X."
)
@ceiling_options
@click.option("--watch", is_flag=True, help="Follow the job to its end.")
@pass_session
def resume_command(
    session: Session, /, job: str, watch: bool, **options: int | float | None
) -> None:
    """Resume a cancelled, failed or paused JOB from its last checkpoint.

    With --epochs, or where a ceiling ended it, one that succeeded is trained further. Ceilings
    count from now. When no netgraft runs, one is started for this command, which then follows JOB
    to its end.
    """
    services = session.trainer()
    given = {name: value for name, value in options.items() if value is not None}
    resumed = _resumed(session, services, job, given)
    if watch or session.own:
        _follow_to_end(session, services, resumed, after=resumed.last_event.seq)
    else:
        _print_job(session, resumed)


def _resumed(
    session: Session, services: "Services", job: str, given: dict[str, int | float]
) -> "tuning_pb2.Job":
    """Resume a job; one that was running when its netgraft ended goes on with our own by itself."""
    from netgraft.v1 import tuning_pb2

    if session.own:
        found = services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job))
        if not ended(found.state):
            return found
    request = tuning_pb2.ResumeJobRequest(id=job, **given)  # type: ignore[arg-type]
    return services.tuning.ResumeJob(request)


@click.command(
    "watch",
    cls=Command,
    examples=(
        "netgraft watch tune-20261123-7f3a9c",
        "netgraft watch tune-20261123-7f3a9c --json --after 120",
    ),
)
@click.argument("job")
@click.option("--after", type=INT64, default=0, metavar="SEQ", help="Only events after this one.")
@pass_session
def watch_command(session: Session, job: str, after: int) -> None:
    """Follow JOB to its end. With --json, one event a line."""
    from netgraft.cli.terminal.output import emit_line
    from netgraft.v1 import tuning_pb2

    services = session.client()
    found = services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job))
    if not session.json:
        _follow_to_end(session, services, found, after=after)
        return
    for event in follow(services, found.id, after):
        emit_line(event)
    found = services.tuning.GetJob(tuning_pb2.GetJobRequest(id=found.id))
    _end(found)


def _follow_to_end(
    session: Session, services: "Services", job: "tuning_pb2.Job", *, after: int = 0
) -> None:
    """Show a job's events, then the job; exit with code 1 unless it succeeded."""
    from netgraft.cli.terminal.output import console
    from netgraft.cli.terminal.progress import job_view
    from netgraft.v1 import tuning_pb2

    out = console(stderr=session.json)
    for line in job.assumptions:
        out.print(f"· {line}", soft_wrap=True)
    try:
        with job_view(out, job.id) as view:
            for event in follow(services, job.id, after):
                view.add(event)
    except KeyboardInterrupt:
        click.echo(leave_job(session, services, job.id), err=True)
        raise
    job = services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    _print_job(session, job)
    _end(job)


def _end(job: "tuning_pb2.Job") -> None:
    from netgraft.v1 import tuning_pb2

    if job.state != tuning_pb2.JOB_STATE_SUCCEEDED:
        click.get_current_context().exit(FAILED)


def _print_job(session: Session, job: "tuning_pb2.Job") -> None:
    from netgraft.cli.terminal.output import console, emit
    from netgraft.cli.terminal.view import job_view

    if session.json:
        emit(job)
        return
    for part in job_view(job, session.page_address(f"/jobs/{job.id}")):
        console().print(part)
