"""`netgraft up` with either engine: how to start it in a test, and what its processes are."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
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
"""What a process of the local engine is, by its name or a word of its command."""


def wait_for(what: str, holds: Callable[[], bool], seconds: float = PATIENCE) -> float:
    """Wait until something holds, and return for how long."""
    return system.wait_for(what, holds, seconds)


@dataclass
class Up:
    """A `netgraft up`, which can be started again with the same state."""

    system: System
    words: tuple[str, ...]
    started: "list[subprocess.Popen[str]]" = field(default_factory=list)

    @property
    def process(self) -> "subprocess.Popen[str]":
        """The one that was started last."""
        return self.started[-1]

    def start(self) -> None:
        """Start it, or start it again, and wait until it answers."""
        with self.system.terminal.open("a") as out:
            process = subprocess.Popen(
                [NETGRAFT, "up", "--json", *self.words],
                env=self.system.environment,
                cwd=self.system.data,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )
        self.started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline(), self.system.terminal.read_text()

    def end(self) -> None:
        """Press Ctrl-C, wherever it still runs."""
        for process in self.started:
            process.send_signal(signal.SIGINT)
            process.wait(60)

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
def running(
    folder: Path, weights: Path, *words: str, engine: str = "local", **variables: str
) -> Iterator[Up]:
    """A `netgraft up` of its own, ended at the end. It stands in `folder`/data."""
    every = {**environment(folder / "state", weights), "NETGRAFT_ENGINE": engine, **variables}
    data = folder / "data"
    data.mkdir(exist_ok=True)
    system = System(
        grpc=f"127.0.0.1:{every['NETGRAFT_GRPC_PORT']}",
        web=f"http://127.0.0.1:{every['NETGRAFT_WEB_PORT']}",
        token="known",
        state=folder / "state",
        data=data,
        environment={**every, "NETGRAFT_TOKEN": "known"},
        demo=None,  # type: ignore[arg-type]  # there is none
        terminal=folder / "up.txt",
        pid=0,
    )
    up = Up(system, words)
    try:
        up.start()
        yield up
    finally:
        up.end()


def running_on_ray(folder: Path, weights: Path) -> AbstractContextManager[Up]:
    """One on Ray, without the page, whose runs save their state every second."""
    often = {"NETGRAFT_SILENT_SECONDS": "30", "NETGRAFT_CHECKPOINT_SECONDS": "1"}
    return running(folder, weights, "--no-web", engine="ray", **often)
