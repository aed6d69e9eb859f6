"""A whole netgraft as a process: where it answers, and how to use it from a test."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from PIL import Image

from netgraft.client import Client
from netgraft.loopback import free_port
from netgraft.store.store import Store
from netgraft.v1 import tuning_pb2

PATIENCE = 240.0
"""Seconds that a busy machine may take for what an idle one does in ten or twenty."""
NETGRAFT = str(Path(sys.executable).with_name("netgraft"))


@dataclass(frozen=True)
class System:
    """A running `netgraft demo --stay`."""

    grpc: str
    web: str
    token: str
    state: Path
    data: Path
    environment: dict[str, str]
    demo: "subprocess.Popen[bytes]"
    terminal: Path
    """What it has printed."""
    pid: int
    """The process of the `netgraft up` that it has started."""

    def client(self, language: str = "en") -> Client:
        return Client(self.grpc, self.token, language)

    def store(self) -> Store:
        """Its store, read beside it."""
        return Store(str(self.state / "store"), f"sqlite:///{self.state / 'netgraft.db'}")

    def processes(self, *words: str) -> list[psutil.Process]:
        """Those of its processes whose name or command has one of the words; without words, all.

        They carry its state folder in their environment.
        """
        return processes_of(self.state, *words)

    def link(self) -> str:
        """An address that logs a browser in, once."""
        return self.run("token", "--link").stdout.strip()

    def run(self, *words: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run the command line against this system."""
        environment = {**self.environment, "NETGRAFT_ADDRESS": self.grpc}
        return subprocess.run(
            [NETGRAFT, *words],
            env=environment,
            cwd=self.data,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )


def processes_of(state: Path, *words: str) -> list[psutil.Process]:
    """The processes that carry a state folder in their environment; see `System.processes`."""
    found = []
    for process in psutil.process_iter():
        try:
            command = " ".join([process.name(), *process.cmdline()])
            its = process.environ().get("NETGRAFT_STATE") == str(state)
        except psutil.Error:
            continue
        if its and (not words or any(word in command for word in words)):
            found.append(process)
    return found


def wait_for(what: str, holds: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait until something holds, and return for how long."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)
    return time.monotonic() - began


def digits_spec(model: str, epochs: int, **facts: Any) -> tuning_pb2.TuningSpec:
    """A run of a tiny model on a CPU, all of whose numbers are said."""
    return tuning_pb2.TuningSpec(
        model=model,
        data="digits",
        epochs=epochs,
        lr=0.004,
        batch_size=64,
        image_size=32,
        device="cpu",
        precision="fp32",
        **facts,
    )


def environment(state: Path, torch_home: Path) -> dict[str, str]:
    """The environment of a system under test: its own ports, state and weights."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith("NETGRAFT_")},
        "NETGRAFT_STATE": str(state),
        "NETGRAFT_GRPC_PORT": str(free_port()),
        "NETGRAFT_WEB_PORT": str(free_port()),
        "TORCH_HOME": str(torch_home),
        "LANG": "C.UTF-8",
        "NETGRAFT_SILENT_SECONDS": "10",
        "NETGRAFT_LOG_LEVEL": "info",  # in small letters, as people write it
        "http_proxy": "http://127.0.0.1:9",  # as in many offices; nothing here may use it
    }


def write_pictures(folder: Path, classes: int, each: int) -> None:
    """Real picture files that are easy to tell apart: every class has its colour."""
    for index in range(classes):
        place = folder / f"class{index}"
        place.mkdir(parents=True)
        for number in range(each):
            colour = (255 * (index == 0), 255 * (index == 1), 40 + 3 * number)
            Image.new("RGB", (48, 40), colour).save(place / f"{number}.png")
