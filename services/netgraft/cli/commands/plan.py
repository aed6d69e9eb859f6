"""plan and do: turn a sentence into a plan, and carry it out."""

import json
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netgraft.cli.command import Command
from netgraft.cli.failure import FAILED, NO_ANSWER, REFUSED, USAGE
from netgraft.cli.reference import policy, weights_option
from netgraft.cli.session import Session, pass_session
from netgraft.cli.terminal.language import tr
from netgraft.errors import ConsentNeeded
from netgraft.language import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netgraft.cli.services import Services
    from netgraft.cli.terminal.run import PlanView
    from netgraft.v1 import agent_pb2


MODELS = ("model", "a", "b")
"""The fields of steps that name a model."""


@click.command(
    "plan",
    cls=Command,
    examples=(
        'netgraft plan "show resnet50, retarget to 100 classes"',
        'netgraft plan "把resnet50改成100类" --json',
        "netgraft plan --batch sentences.jsonl --json",
    ),
)
@click.argument("text", required=False)
@click.option(
    "--batch",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE.jsonl",
    help='Lines {"id": …, "turns": ["first sentence", "second…"]}; a reply is printed for each.',
)
@click.option("--conversation", default="", metavar="NAME", help="Continue this conversation.")
@pass_session
def plan_command(session: Session, text: str | None, batch: Path | None, conversation: str) -> None:
    """Print the plan for TEXT without carrying it out."""
    from netgraft.cli.terminal.output import emit
    from netgraft.v1 import agent_pb2

    if (text is None) == (batch is None):
        problem = tr("Give either TEXT or --batch FILE.")
        raise click.UsageError(problem)
    if batch is not None:
        _plan_batch(batch)
        return
    request = agent_pb2.PlanRequest(text=text or "", conversation_id=conversation)
    reply = session.services().agent.Plan(request)
    if session.json:
        emit(reply)
    else:
        print_reply(reply)


def _plan_batch(file: Path) -> None:
    """Plan a batch. Always JSON and always in this process: it needs no state."""
    from netgraft.agent import plan_lines

    with click.open_file(str(file), encoding="utf-8") as lines:
        for reply in plan_lines(lines):
            click.echo(json.dumps(reply, ensure_ascii=False))


def print_reply(reply: "agent_pb2.PlannerReply") -> None:
    """Print a planner's reply for people."""
    from netgraft.cli.terminal.card import card_lines

    if reply.kind == "plan":
        for line in card_lines(reply):
            click.echo(line)
        return
    click.echo(reply.question or reply.reason or reply.text)
    for number, option in enumerate(reply.options, start=1):
        click.echo(f"  {number}. {option}")


@click.command(
    "do",
    cls=Command,
    examples=(
        'netgraft do "show resnet50, retarget to 100 classes"',
        'netgraft do "fine-tune mobilenet_v2 for 10 classes on digits for 2 epochs" --yes',
        "netgraft do --file plan.yaml --yes --json",
    ),
)
@click.argument("text", required=False)
@click.option(
    "--file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="PLAN.json|yaml",
    help='A plan file, {"steps": […]}, instead of a sentence.',
)
@click.option("-y", "--yes", is_flag=True, help="Consent to the steps that need it.")
@click.option("--conversation", default="", metavar="NAME", help="Continue this conversation.")
@weights_option
@pass_session
def do_command(
    session: Session,
    text: str | None,
    file: Path | None,
    yes: bool,
    conversation: str,
    weights: str | None,
) -> None:
    """Carry out a sentence or a plan file, with progress.

    Steps that train or stop training (finetune, resume, cancel) ask for consent and go to a
    netgraft that runs; when none does, one is started for this command and ends with it.
    With --json, the plan is the first line, and each event is a line after it.

    Exit code: 0 done, 1 a step failed, 2 no consent, 3 the planner asks, 4 it refuses,
    5 no server.
    """
    if (text is None) == (file is None):
        problem = tr("Give either TEXT or --file PLAN.")
        raise click.UsageError(problem)
    # Each call is a conversation, so that the reply to a question is understood as one.
    conversation = conversation or f"cli-{secrets.token_hex(6)}"
    plan = _read(file) if file else None
    services = session.services()
    plan = plan or plan_sentence(session, services, text or "", conversation)
    show_plan(session, plan)
    if plan.needs_consent:
        session.must_be_able_to_train()
        must_agree(session, yes=yes)
        services = session.trainer()
    plan = with_local_files(session, services, plan)
    token = consent(services, plan, conversation)
    from netgraft.cli.leaving import leave_job
    from netgraft.cli.terminal.run import show_events

    events = carry_out(services, plan, conversation, token, weights)
    leave = partial(leave_job, session, services)
    outcome = show_events(events, plan_view(session), leave)
    if outcome.failure is not None or outcome.finished < len(plan.steps):
        click.get_current_context().exit(FAILED)


def _read(file: Path) -> "agent_pb2.PlannerReply":
    from netgraft.cli.planfile import read_plan

    return read_plan(file)


def with_local_files(
    session: Session, services: "Services", plan: "agent_pb2.PlannerReply"
) -> "agent_pb2.PlannerReply":
    """Return the plan with files and folders named as the server that carries it out finds them."""
    from netgraft.cli.localfiles import data_reference, model_reference
    from netgraft.models.sources.file import names_file

    if not session.address:
        return plan
    for step in plan.steps:
        fields = getattr(step, step.WhichOneof("step") or "")
        for field, value in fields.ListFields():
            if field.name in MODELS and names_file(value):
                setattr(fields, field.name, model_reference(session, services, value))
            elif field.name == "data":
                fields.data = data_reference(session, value)
    return plan


def carry_out(
    services: "Services",
    plan: "agent_pb2.PlannerReply",
    conversation: str,
    token: str,
    weights: str | None,
) -> "Iterator[agent_pb2.RunEvent]":
    """Carry a plan out; yield its events."""
    from netgraft.v1 import agent_pb2

    request = agent_pb2.RunRequest(
        steps=plan.steps,
        conversation_id=conversation,
        consent_token=token,
        weights=policy(weights),  # type: ignore[arg-type]
    )
    return services.agent.Run(request)


def plan_view(session: Session) -> "PlanView":
    """Return the view of a plan's events: JSON lines with --json, else text and bars."""
    from netgraft.cli.terminal.output import console
    from netgraft.cli.terminal.run import JsonView, TextView

    return JsonView() if session.json else TextView(console(), session.page_address)


def show_plan(session: Session, plan: "agent_pb2.PlannerReply") -> None:
    """Print the plan card, or the plan's JSON on a line."""
    from netgraft.cli.terminal.output import emit_line

    if session.json:
        emit_line(plan)
    else:
        print_reply(plan)


def plan_sentence(
    session: Session, services: "Services", text: str, conversation: str
) -> "agent_pb2.PlannerReply":
    """Return the plan for a sentence, after asking as many questions as the planner has.

    Ends the command when there is nothing to carry out: after an answer, a refusal, or a question
    without a person to answer it.
    """
    from netgraft.v1 import agent_pb2

    while True:
        request = agent_pb2.PlanRequest(text=text, conversation_id=conversation)
        reply: agent_pb2.PlannerReply = services.agent.Plan(request)
        if reply.kind == "plan":
            return reply
        show_plan(session, reply)
        if reply.kind != "clarify":
            code = REFUSED if reply.kind == "refuse" else 0
            raise click.exceptions.Exit(code)
        text = _ask(session, list(reply.options))


def _ask(session: Session, options: list[str]) -> str:
    """Ask a person; return the option that they chose by its number, or their own words."""
    if session.json or not sys.stdin.isatty():
        raise click.exceptions.Exit(NO_ANSWER)
    said: str = click.prompt(">", prompt_suffix=" ", default="", show_default=False).strip()
    if not said:
        raise click.exceptions.Exit(NO_ANSWER)
    # Options that are numbers themselves are chosen by value, not by position.
    values = all(option.isdecimal() for option in options)
    chosen = int(said) if said.isdecimal() and not values else 0
    return options[chosen - 1] if 1 <= chosen <= len(options) else said


def must_agree(session: Session, *, yes: bool) -> None:
    """Ask for consent to a plan that needs it, unless it was given with --yes.

    Ends the command with exit code 2 when a person says no. Raises ConsentNeeded when there is
    nobody to ask.
    """
    if yes:
        return
    if session.json or not sys.stdin.isatty():
        problem = Message("add --yes to give it.")
        raise ConsentNeeded(problem=problem)
    if not click.confirm(tr("Carry it out?"), default=False):
        raise click.exceptions.Exit(USAGE)


def consent(services: "Services", plan: "agent_pb2.PlannerReply", conversation: str) -> str:
    """Return the token by which a person's consent to a plan is known; "" if it needs none."""
    from netgraft.v1 import agent_pb2

    if not plan.needs_consent:
        return ""
    request = agent_pb2.ConsentRequest(steps=plan.steps, conversation_id=conversation)
    given: agent_pb2.ConsentReply = services.agent.Consent(request)
    return given.token
