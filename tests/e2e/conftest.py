"""A whole netgraft, as `make demo` starts it, and one on Ray, shared by the tests here."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.system import NETGRAFT, System, environment
from tests.e2e.up import Up, running_on_ray

DEMO_SECONDS = 800
END_SECONDS = 60


@pytest.fixture(scope="session")
def system(
    tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path
) -> Iterator[System]:
    """A `netgraft demo` that has carried out its sentence and stays up.

    It begins from random weights: of resnet18, which it trains, the tests have no others.
    """
    folder = tmp_path_factory.mktemp("system")
    data = folder / "data"
    data.mkdir()
    variables = environment(folder / "state", torch_home_with_weights)
    terminal = folder / "terminal.txt"
    with terminal.open("w") as out:
        demo = subprocess.Popen(
            [NETGRAFT, "demo", "--stay"], env=variables, cwd=data, stdout=out, stderr=out
        )
    try:
        wait_until_it_stays(demo, terminal)
        yield System(
            grpc=f"127.0.0.1:{variables['NETGRAFT_GRPC_PORT']}",
            web=f"http://127.0.0.1:{variables['NETGRAFT_WEB_PORT']}",
            token=(folder / "state" / "token").read_text().strip(),
            state=folder / "state",
            data=data,
            environment=variables,
            demo=demo,
            terminal=terminal,
            pid=json.loads((folder / "state" / "server.json").read_text())["pid"],
        )
    finally:
        end(demo)


def wait_until_it_stays(demo: "subprocess.Popen[bytes]", terminal: Path) -> None:
    deadline = time.monotonic() + DEMO_SECONDS
    while "Up until Ctrl-C." not in (said := terminal.read_text()):
        if demo.poll() is not None or time.monotonic() > deadline:
            pytest.fail(f"netgraft demo did not get as far as staying up:\n{said}")
        time.sleep(0.1)


def end(demo: "subprocess.Popen[bytes]") -> None:
    """Press Ctrl-C, unless it has ended."""
    demo.send_signal(signal.SIGINT)
    try:
        demo.wait(timeout=END_SECONDS)
    except subprocess.TimeoutExpired:
        demo.kill()
        demo.wait()


@pytest.fixture(scope="session")
def ended(system: System) -> System:
    """The same after Ctrl-C. Its tests come after all others that use `system` (../conftest.py)."""
    end(system.demo)
    return system


@pytest.fixture(scope="session")
def on_ray(tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path) -> Iterator[Up]:
    """A `netgraft up --engine ray`: its rpcs are called before it loses its processes."""
    with running_on_ray(tmp_path_factory.mktemp("ray"), torch_home_with_weights) as up:
        yield up


@pytest.fixture(scope="session")
def ended_on_ray(on_ray: Up) -> Up:
    """The same when it has ended. Its tests come after all others (../conftest.py)."""
    on_ray.end()
    return on_ray
