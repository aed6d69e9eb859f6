"""A `netgraft up` in a child process, which always ends with its parent.

Knows nothing of what it is used for.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from netgraft import private
from netgraft.cli.terminal.language import chosen_language
from netgraft.client import RemoteError
from netgraft.errors import NotPossible
from netgraft.language import Message
from netgraft.loopback import LOOPBACK, free_port

END_SECONDS = 40


@dataclass(frozen=True)
class Running:
    """A running netgraft and its process."""

    grpc: str
    web: str
    process: "subprocess.Popen[str]"

    def page(self, path: str) -> str:
        """Return the address of a page of the gateway; opening it logs a browser in, once."""
        from netgraft import codes

        return codes.link(self.web, path)


def netgraft_for_a_command(log: Path) -> AbstractContextManager[Running]:
    """Start what one command needs: the services on a free port of loopback, without the page."""
    alone = {"NETGRAFT_HOST": LOOPBACK, "NETGRAFT_GRPC_PORT": str(free_port())}
    return netgraft_up(log, "--no-web", "--engine", "local", variables=alone)


@contextmanager
def netgraft_up(
    log: Path, *options: str, variables: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """Start everything and wait until it is ready; end it when the block ends, by an error too.

    What it reports beside its addresses goes to `log`. `variables` are added to its environment.
    Raises RemoteError with the reason why it did not start, and NotPossible when it gave none.
    """
    command = [sys.executable, "-m", "netgraft.cli", "up", "--json", *options]
    command += ["--language", chosen_language(), "--with-parent", str(os.getpid())]
    private.make_folder(log.parent)
    with private.make_file(log).open("wb") as errors:
        # A session of its own, so that Ctrl-C reaches this process only, which passes it on.
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        with _exit_on_signals():
            assert process.stdout is not None
            found = _document(process.stdout)
            if "grpc" not in found:
                raise _failure(found, log)
            yield Running(found["grpc"], found["web"], process)
    finally:
        _end(process)


@contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Within the block, let SIGTERM and a closed terminal raise SystemExit."""

    def unwind(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, unwind) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(output: IO[str]) -> dict[str, Any]:
    """Wait for the line of JSON with which the child is ready or fails; {} if it prints none."""
    for line in output:  # libraries may print to it as well
        if line.startswith(('{"grpc"', '{"error"')):
            with suppress(ValueError):
                return dict(json.loads(line))
    return {}


def _failure(found: dict[str, Any], log: Path) -> Exception:
    if error := found.get("error"):
        return RemoteError(reason=error["reason"], sentence=error["message"], code="")
    return NotPossible(problem=Message("netgraft did not start; see {log}.", log=log))


def _end(process: "subprocess.Popen[str]") -> None:
    """Send SIGTERM, wait, then send SIGKILL. A second Ctrl-C does not shorten the wait."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=END_SECONDS)
        # The group holds the child's own processes too, in case it left any behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    finally:
        signal.signal(signal.SIGINT, before)
