"""Checkouts of netgraft, each with its own .venv: their commands and servers, started and ended.

For bench_start.py and bench_engines.py. Knows nothing of what is measured.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from netgraft.client import Client
from netgraft.errors import NetgraftError
from netgraft.v1 import models_pb2

LONGEST = 600.0
"""Seconds that anything measured here may take."""
END_SECONDS = 90


class Failed(Exception):
    """The measured program did not do its work; the text says what it printed."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Checkout:
    """One version of netgraft, with a state folder and ports of its own."""

    side: str
    """ "before" or "after"; in bench_engines.py the engine."""
    root: Path
    state: Path
    engine: str = ""
    grpc_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)

    @property
    def python(self) -> str:
        return str(self.root / ".venv/bin/python")

    @property
    def netgraft(self) -> str:
        return str(self.root / ".venv/bin/netgraft")

    @property
    def environment(self) -> dict[str, str]:
        """This process's, but with this checkout's state and ports only."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NETGRAFT_")}
        engine = {"NETGRAFT_ENGINE": self.engine, "NETGRAFT_LOG_LEVEL": "info"}
        return inherited | {
            **(engine if self.engine else {}),
            "NETGRAFT_STATE": str(self.state),
            "NETGRAFT_GRPC_PORT": str(self.grpc_port),
            "NETGRAFT_WEB_PORT": str(self.web_port),
            "PYTHONUNBUFFERED": "1",
            **(
                {"NETGRAFT_ENGINE": self.engine, "NETGRAFT_LOG_LEVEL": "info"}
                if self.engine
                else {}
            ),
            "LC_ALL": "C.UTF-8",
        }

    @cached_property
    def local(self) -> list[str]:
        """The option for work in the command's own process, where this version has one."""
        return ["--local"] if "--local" in self.run("models", "--help") else []

    def run(self, *words: str) -> str:
        """Run a command; returns what it printed. Raises Failed."""
        return run([self.netgraft, *words], self)

    def token(self) -> str:
        return (self.state / "token").read_text().strip()


def run(command: Sequence[str], checkout: Checkout, cwd: Path | None = None) -> str:
    """Run a program to its end; returns what it printed. Raises Failed."""
    done = subprocess.run(
        command,
        env=checkout.environment,
        cwd=cwd or checkout.state,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )
    if done.returncode:
        raise Failed(f"{checkout.side}: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def until_printed(
    command: Sequence[str], pattern: str, checkout: Checkout, cwd: Path | None = None
) -> tuple[float, str]:
    """Seconds from the start of a program until a line begins as `pattern` says, and that line.

    The program is then waited for. Raises Failed.
    """
    started, said = time.perf_counter(), ""
    found: tuple[float, str] | None = None
    process = subprocess.Popen(
        command,
        env=checkout.environment,
        cwd=cwd or checkout.state,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    too_long = threading.Timer(LONGEST, process.terminate)
    too_long.start()
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if found is None and re.match(pattern, line):
                found = time.perf_counter() - started, line.strip()
        process.wait(timeout=END_SECONDS)
    finally:
        too_long.cancel()
        end(process)
    if found is None or process.returncode:
        raise Failed(f"{checkout.side}: {' '.join(command)}\n{said}")
    return found


@dataclass(frozen=True)
class Up:
    """A netgraft that is up, and the seconds until it answered."""

    client: Client
    grpc_seconds: float
    page_seconds: float
    started: float
    """By time.perf_counter()."""
    pid: int


@contextmanager
def up(checkout: Checkout) -> Iterator[Up]:
    """`netgraft up`, until gRPC and the page answer; ended when the block ends."""
    log = checkout.state / "up.log"
    with log.open("w") as out:
        started = time.perf_counter()
        process = subprocess.Popen(
            [checkout.netgraft, "up"],
            env=checkout.environment,
            cwd=checkout.state,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    client: Client | None = None
    grpc_seconds = page_seconds = 0.0
    try:
        while not (grpc_seconds and page_seconds):
            now = time.perf_counter() - started
            if process.poll() is not None or now > LONGEST:
                raise Failed(f"{checkout.side}: netgraft up\n{log.read_text()}")
            if not page_seconds and page_answers(checkout.web_port):
                page_seconds = time.perf_counter() - started
            if client is None and (checkout.state / "token").is_file() and checkout.token():
                client = Client(f"127.0.0.1:{checkout.grpc_port}", checkout.token())
            if client and not grpc_seconds and grpc_answers(client):
                grpc_seconds = time.perf_counter() - started
            time.sleep(0.05)
        assert client is not None
        yield Up(client, grpc_seconds, page_seconds, started, process.pid)
    finally:
        if client is not None:
            client.close()
        end(process)


def grpc_answers(client: Client) -> bool:
    """True if a call gets through the proxy to a service and back."""
    request = models_pb2.ResolveModelRequest(model="resnet50@none")
    with contextlib.suppress(NetgraftError):
        client.models.ResolveModel(request, timeout=5)
        return True
    return False


def page_answers(port: int) -> bool:
    """True if the web gateway serves a page: the login page, because we have no cookie."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(f"http://127.0.0.1:{port}/", timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)
    except OSError:
        return False
    return True


def end(process: "subprocess.Popen[Any]") -> None:
    """SIGTERM, time for a clean exit, then the process and its session are killed."""
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reply_of(text: str) -> dict[str, Any]:
    """The JSON that a command printed."""
    return dict(json.loads(text))


@contextmanager
def fresh_clone(checkout: Checkout, folder: Path) -> Iterator[Path]:
    """A clone of the commits of a checkout, without its .venv; removed when the block ends."""
    clone = folder / f"clone-{checkout.side}"
    subprocess.run(["git", "clone", "--quiet", checkout.root, clone], check=True, timeout=LONGEST)
    try:
        yield clone
    finally:
        shutil.rmtree(clone, ignore_errors=True)
