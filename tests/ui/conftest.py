"""The other side of the network: the real services on a plain gRPC server in this process.

What no sentence can make them do, such as hang while they plan, an interceptor in front of
them does. Only the training itself is played (tests/player.py).
"""

import asyncio
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
import torch
import torchvision
from tests.cli.server import serving
from tests.player import Player

from netgraft.client import Client
from netgraft.models.edits.replace import Replace
from netgraft.models.recipe import Base, Recipe
from netgraft.models.recipes import put_recipe
from netgraft.settings import settings
from netgraft.v1 import graph_pb2

TOKEN = "the-token-of-these-tests"
NAME = "squeezenet1_1@none"
BASE = Recipe(Base("torchvision", "squeezenet1_1", None)).id
OTHER_NAME = "resnet18@none"
OTHER = Recipe(Base("torchvision", "resnet18", None)).id


def network(classes: int) -> bytes:
    """A file of a user's own network."""
    file = io.BytesIO()
    torch.save(torchvision.models.squeezenet1_1(num_classes=classes), file)
    return file.getvalue()


class Calls(grpc.aio.ServerInterceptor):
    """Remembers what reaches the server, and holds back the methods that a test names."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str]]] = []
        self._held: set[str] = set()

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        metadata = {key: str(value) for key, value in handler_call_details.invocation_metadata}
        name = handler_call_details.method.rpartition("/")[2]
        self.seen.append((name, metadata))
        while name in self._held:
            await asyncio.sleep(0.02)
        return await continuation(handler_call_details)

    def languages(self, method: str) -> list[str]:
        """The languages that the calls of a method asked for, in order."""
        return [meta.get("accept-language", "en") for name, meta in self.seen if name == method]

    def count(self, method: str) -> int:
        return len(self.languages(method))

    @contextmanager
    def held(self, method: str) -> Iterator[None]:
        """Calls of a method wait until the block ends."""
        self._held.add(method)
        try:
            yield
        finally:
            self._held.discard(method)


@dataclass
class Server:
    """The running services."""

    port: int
    calls: Calls
    player: Player

    def fresh(self) -> None:
        """Forget the calls of other tests, and let their jobs end."""
        self.player.finish()
        self.calls.seen.clear()

    def misfit(self) -> str:
        """Id of a stored model one of whose layers does not fit: it cannot be drawn."""
        misfit = Replace("layer1", "Linear", (("in_features", 3), ("out_features", 3)), "")
        recipe = Recipe(Base("torchvision", "resnet18", None)).with_edit(misfit)
        return put_recipe(self.player.store, recipe)


@contextmanager
def _with_token() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETGRAFT_TOKEN", TOKEN)
        settings.cache_clear()
        yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def services() -> Iterator[Server]:
    """All services on a free loopback port, with two models drawn. Jobs stop half-way."""
    calls = Calls()
    with _with_token():
        player = Player(pause_after=9, epochs=2)
        running = serving(before=[calls], launcher=player)
        address = running.__enter__()
        client = Client(address)
        for name, model in ((NAME, BASE), (OTHER_NAME, OTHER)):
            drawn = client.graphs.DrawGraph(graph_pb2.DrawGraphRequest(model=name))
            assert drawn.model_id == model
        client.close()
    yield Server(int(address.rpartition(":")[2]), calls, player)
    with _with_token():
        player.finish()
        running.__exit__(None, None, None)


@contextmanager
def pointing_at(server: Server) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETGRAFT_TOKEN", TOKEN)
        patch.setenv("NETGRAFT_ADDRESS", f"127.0.0.1:{server.port}")
        settings.cache_clear()
        server.fresh()
        yield server
        server.player.finish()
    settings.cache_clear()


@pytest.fixture
def here(services: Server) -> Iterator[Server]:
    """The services, where the settings of this process point; no call of another test is seen."""
    with pointing_at(services):
        yield services


@pytest.fixture(scope="module")
def shared(services: Server) -> Iterator[Server]:
    """The same for all tests of a module."""
    with pointing_at(services):
        yield services


@pytest.fixture(autouse=True)
def _fresh_settings() -> Iterator[None]:
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@dataclass
class Gateway:
    """`python -m netgraft.ui` in a process of its own."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text().strip()


class Gateways:
    """Starts gateways, and stops them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[Gateway] = []

    def __call__(self, web_port: int, grpc_port: int) -> Gateway:
        """A gateway that answers, or has ended."""
        environment = os.environ | {
            "NETGRAFT_STATE": str(self.folder),
            "NETGRAFT_TOKEN": TOKEN,
            "NETGRAFT_WEB_PORT": str(web_port),
            "NETGRAFT_GRPC_PORT": str(grpc_port),
        }
        environment.pop("NETGRAFT_ADDRESS", None)
        log = self.folder / f"{len(self.started)}.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "netgraft.ui"], env=environment, stderr=file
            )
        self.started.append(Gateway(process, log))
        deadline = time.monotonic() + 60
        # An opener of its own: urllib's keeps whatever proxy it first saw.
        here = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        while process.poll() is None:
            try:
                here.open(f"http://127.0.0.1:{web_port}/healthz", timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            else:
                break
        return self.started[-1]

    def close(self) -> None:
        for gateway in self.started:
            if gateway.process.poll() is None:
                gateway.process.send_signal(signal.SIGTERM)
                gateway.process.wait(15)


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    gateways = Gateways(tmp_path_factory.mktemp("gateway"))
    yield gateways
    gateways.close()
