"""Errors as one sentence and an exit code; a traceback only with NETGRAFT_DEBUG=1."""

import json
import os
import sys
import traceback

import click

from netgraft.cli.terminal.language import chosen_language, tr
from netgraft.errors import (
    DiskFull,
    NetgraftError,
    NoAnswer,
    NotPossible,
    NotRunning,
    OtherVersion,
    Unreachable,
)
from netgraft.errors.disk import is_full
from netgraft.language import Message, quoted

FAILED = 1
USAGE = 2
NO_ANSWER = 3
REFUSED = 4
UNREACHABLE = 5
INTERRUPTED = 130
BROKEN_PIPE = 141


def exit_code(error: NetgraftError) -> int:
    """Return 5 when no server answers, 2 when consent is missing, else 1."""
    if is_unreachable(error):
        return UNREACHABLE
    return USAGE if error.reason == "CONSENT_NEEDED" else FAILED


def is_unreachable(error: NetgraftError) -> bool:
    """Return whether no server answered, ours or one that it called."""
    kinds = (Unreachable, NotRunning, OtherVersion, NoAnswer)
    return error.reason in {kind.reason for kind in kinds}


def report(reason: str, message: str, *, as_json: bool) -> None:
    """Report an error: to people on stderr, to programs on stdout."""
    if as_json:
        document = {"error": {"reason": reason, "message": message}}
        click.echo(json.dumps(document, ensure_ascii=False))
        return
    label = click.style(tr("Error:"), fg="red", bold=True)
    click.echo(f"{label} {message} ({reason})", err=True)


def report_error(error: NetgraftError, *, as_json: bool) -> int:
    """Report an error of the tree; return the exit code."""
    if debugging():
        traceback.print_exception(error)
    report(error.reason, error.sentence(chosen_language()), as_json=as_json)
    return exit_code(error)


def from_system(error: OSError | ModuleNotFoundError) -> NetgraftError:
    """Return an error of the operating system or the installation as one of the tree."""
    if isinstance(error, ModuleNotFoundError):
        return _not_installed(error)
    if is_full(error):
        return DiskFull(folder=error.filename or Message("the output"))
    report = quoted(error.strerror or error)
    if error.filename:
        problem = Message("{path}: {report}.", path=error.filename, report=report)
        return NotPossible(problem=problem)
    return NotPossible(problem=Message("{report}.", report=report))


def _not_installed(error: ModuleNotFoundError) -> NetgraftError:
    problem = Message(
        "{package} is not installed. Install netgraft[services], or name a server with "
        "--server ADDRESS.",
        package=error.name,
    )
    return NotPossible(problem=problem)


def report_unexpected(error: Exception, *, as_json: bool) -> int:
    """Report an error inside netgraft; return the exit code."""
    if debugging():
        traceback.print_exception(error)
    what = f"{type(error).__name__}: {error}".splitlines()[0].rstrip(".")
    message = tr(
        "Something went wrong inside netgraft: {what}. NETGRAFT_DEBUG=1 shows where.", what=what
    )
    report(NetgraftError.reason, message, as_json=as_json)
    return FAILED


def debugging() -> bool:
    """Return whether NETGRAFT_DEBUG asks for tracebacks."""
    try:
        from netgraft.settings import settings

        return settings().debug
    except NetgraftError:  # the settings are wrong, and that error is being reported
        return False


def silence_output() -> int:
    """Keep Python quiet at exit after a broken pipe (`netgraft models | head`); return the code."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    return BROKEN_PIPE
