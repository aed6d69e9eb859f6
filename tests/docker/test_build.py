"""The images, really built and started: `make images-test`.

Needs a Docker engine, or buildah and podman. The `services` image takes some 15 GB of disk
while it is built.
"""

import shutil
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from netgraft.client import Client
from netgraft.v1 import models_pb2

pytestmark = [pytest.mark.images, pytest.mark.timeout(3600)]

ROOT = Path(__file__).parents[2]
HARDENED = ["--network=host", "--no-healthcheck", "--cap-drop=ALL"]
HARDENED += ["--security-opt=no-new-privileges"]
READ_ONLY = ["--read-only", "--tmpfs=/tmp", "--tmpfs=/home/netgraft", "--tmpfs=/var/lib/netgraft"]
TOKEN = "a-token-for-this-test"


def run(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def engine() -> str:
    if shutil.which("docker") and run("docker", "info", check=False).returncode == 0:
        return "docker"
    if not (shutil.which("podman") and shutil.which("buildah")):
        pytest.fail("needs a Docker engine, or buildah and podman")
    return "podman"


def build(engine: str, target: str) -> str:
    """Build one target as the Dockerfile's head says; returns the image's name."""
    tag = f"localhost/netgraft/{target}:test"
    tool = ["docker", "build"]
    if engine == "podman":
        tool = ["buildah", "bud", "--isolation=chroot", "--layers", "--format=docker"]
    done = run(*tool, "-f", "docker/Dockerfile", "--target", target, "-t", tag, ".", check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    return tag


@pytest.fixture(scope="module")
def ui(engine: str) -> str:
    return build(engine, "ui")


@pytest.fixture(scope="module")
def services(engine: str) -> str:
    return build(engine, "services")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def container(engine: str, image: str, *options: str, **environment: object) -> Iterator[str]:
    """A running container's name. At the end its log is printed and it is removed."""
    name = f"netgraft-test-{uuid.uuid4().hex[:8]}"
    values = [f"--env={key}={value}" for key, value in environment.items()]
    run(engine, "run", "--detach", f"--name={name}", *HARDENED, *options, *values, image)
    try:
        yield name
    finally:
        log = run(engine, "logs", name, check=False)
        print(log.stdout[-5000:], log.stderr[-5000:])  # noqa: T201
        run(engine, "rm", "--force", name, check=False)


def wait_until_healthy(engine: str, name: str, kind: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if run(engine, "exec", name, "netgraft-health", kind, check=False).returncode == 0:
            return
        time.sleep(1)
    pytest.fail(f"{kind} was not healthy after {seconds} s")


def inside(engine: str, image: str, *command: str) -> subprocess.CompletedProcess[str]:
    return run(engine, "run", "--rm", *HARDENED, image, *command, check=False)


def test_the_ui_image_holds_no_torch_no_ray_and_no_build_tool(engine: str, ui: str) -> None:
    assert inside(engine, ui, "id", "-u").stdout.strip() == "10001"
    for tool in ("uv", "gcc", "make", "git"):
        assert inside(engine, ui, "sh", "-c", f"command -v {tool}").returncode != 0, tool
    for module in ("torch", "ray", "sqlalchemy"):
        done = inside(engine, ui, "python", "-c", f"import {module}")
        assert "ModuleNotFoundError" in done.stderr, module
    assert inside(engine, ui, "touch", "/opt/netgraft/x").returncode != 0


def test_the_ui_container_answers_on_a_read_only_file_system(engine: str, ui: str) -> None:
    port = free_port()
    settings = {"NETGRAFT_WEB_PORT": port, "NETGRAFT_TOKEN": TOKEN}
    with container(engine, ui, *READ_ONLY, **settings) as name:
        wait_until_healthy(engine, name, "ui", 180)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        stranger = HTTPConnection("127.0.0.1", port, timeout=5)
        stranger.request("GET", "/")
        assert stranger.getresponse().status == 401


def test_the_services_container_serves_and_the_ui_container_reaches_it(
    engine: str, services: str, ui: str
) -> None:
    port, web = free_port(), free_port()
    shared = {"NETGRAFT_TOKEN": TOKEN}
    with container(engine, services, "--shm-size=1g", NETGRAFT_GRPC_PORT=port, **shared) as name:
        wait_until_healthy(engine, name, "services", 600)
        with Client(address=f"127.0.0.1:{port}", token=TOKEN) as netgraft:
            found = netgraft.models.ListModels(models_pb2.ListModelsRequest(query="resnet50"))
            assert "resnet50" in [entry.name for entry in found.entries]
        address = {"NETGRAFT_ADDRESS": f"127.0.0.1:{port}", "NETGRAFT_WEB_PORT": web}
        with container(engine, ui, *READ_ONLY, **shared, **address) as gateway:
            wait_until_healthy(engine, gateway, "ui", 180)
            command = ["netgraft", "models", "resnet50", "--json"]
            done = run(engine, "exec", gateway, *command, check=False)
            assert done.returncode == 0, done.stderr
            assert "resnet50" in done.stdout
