"""A `netgraft up` in a child process, which always ends with its parent.

Knows nothing of what it is used for.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netgraft import private
from netgraft.client import RemoteError
from netgraft.errors import NotPossible
from netgraft.language import Message

READY_SECONDS = 300
"""An idle machine needs under 30 s, a busy one far more."""
END_SECONDS = 40


@dataclass(frozen=True)
class Running:
    """A running netgraft and its process."""

    grpc: str
    web: str
    process: "subprocess.Popen[bytes]"

    def page(self, path: str) -> str:
        """Return the address of a page of the gateway; opening it logs a browser in, once."""
        from netgraft import codes

        return codes.link(self.web, path)


@contextmanager
def netgraft_up(log: Path) -> Iterator[Running]:
    """Start everything and wait until it is ready; end it when the block ends, by an error too.

    Its output goes to `log`. Raises NotPossible when it does not get ready.
    """
    private.make_folder(log.parent)
    command = [sys.executable, "-m", "netgraft.cli", "up", "--json"]
    command += ["--with-parent", str(os.getpid())]
    with private.make_file(log).open("wb") as out:
        # A session of its own, so that Ctrl-C reaches this process only, which passes it on.
        process = subprocess.Popen(  # noqa: S603  # ourselves
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        with _exit_on_signals():
            yield _wait(process, log)
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


def _wait(process: "subprocess.Popen[bytes]", log: Path) -> Running:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        found = _document(log)
        if "error" in found:
            reason, sentence = found["error"]["reason"], found["error"]["message"]
            raise RemoteError(reason=reason, sentence=sentence, code="")
        if "grpc" in found:
            return Running(found["grpc"], found["web"], process)
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise NotPossible(problem=Message("netgraft did not start; see {log}.", log=log))


def _document(log: Path) -> dict[str, Any]:
    """Return the JSON document in the child's output, which libraries print to as well."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith(('{"grpc"', '{"error"')):
            with suppress(ValueError):  # half a line: still being written
                return dict(json.loads(line))
    return {}


def _end(process: "subprocess.Popen[bytes]") -> None:
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
