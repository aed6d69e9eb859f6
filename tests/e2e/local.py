"""`netgraft up` with the local engine: how to start it in a test, and what its processes are."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from tests.e2e import system
from tests.e2e.system import NETGRAFT, System, environment, processes_of

from netgraft.app.sessions import lives

PATIENCE = 120.0
"""Seconds that a busy machine may take for what an idle one does in ten."""
PARTS = {
    "netgraft.app.front": "front",
    "netgraft.ui": "page",
    "netgraft-worker": "worker",
    "netgraft-forks": "fork server",
    "netgraft-rank": "rank",
}
"""What a process is, by its name or a word of its command."""


def wait_for(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait until something holds, and return for how long."""
    return system.wait_for(what, holds, seconds)


@dataclass
class Up:
    """A `netgraft up` that answers."""

    system: System
    words: tuple[str, ...]

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start it, or start it again."""
        with self.system.terminal.open("a") as out:
            self.process = subprocess.Popen(
                [NETGRAFT, "up", "--json", "--engine", "local", *self.words],
                env=self.system.environment,
                cwd=self.system.data,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline(), self.system.terminal.read_text()

    def find(self, part: str) -> list[int]:
        """The processes of a part."""
        return [each.pid for each in self.system.processes() if part_of(each) == part]

    def parts(self) -> list[psutil.Process]:
        """All that it has started."""
        return [each for each in self.system.processes() if part_of(each)]

    def kill(self, part: str) -> int:
        """Kill a process of a part, once there is one, and return which it was."""
        wait_for(f"a {part}", lambda: bool(self.find(part)))
        lost = self.find(part)[0]
        os.kill(lost, signal.SIGKILL)
        return lost


def part_of(process: psutil.Process) -> str:
    """What a process is; "" for those that are no part of the engine."""
    with suppress(psutil.Error, OSError):
        words = (Path(f"/proc/{process.pid}/comm").read_text().strip(), *process.cmdline())
        return next((PARTS[word] for word in words if word in PARTS), "")
    return ""


def using(state: Path) -> list[psutil.Process]:
    """Processes that have a state folder in their environment."""
    return [each for each in processes_of(state) if lives(each)]


@contextmanager
def running(folder: Path, weights: Path, *words: str, **variables: str) -> Iterator[Up]:
    """A `netgraft up` of its own, ended at the end."""
    every = {**environment(folder / "state", weights), **variables}
    system = System(
        grpc=f"127.0.0.1:{every['NETGRAFT_GRPC_PORT']}",
        web=f"http://127.0.0.1:{every['NETGRAFT_WEB_PORT']}",
        token="known",
        state=folder / "state",
        data=folder,
        environment={**every, "NETGRAFT_TOKEN": "known"},
        demo=None,  # type: ignore[arg-type]  # there is none
        terminal=folder / "up.txt",
        pid=0,
    )
    up = Up(system, words)
    try:
        yield up
    finally:
        up.process.terminate()
        up.process.wait(60)
