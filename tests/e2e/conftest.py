"""One whole netgraft, started as a user starts it, shared by the tests in this folder."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.system import NETGRAFT, System, environment

START_SECONDS = 240


@pytest.fixture(scope="session")
def system(
    tmp_path_factory: pytest.TempPathFactory, torch_home_with_weights: Path
) -> Iterator[System]:
    folder = tmp_path_factory.mktemp("system")
    data = folder / "data"
    data.mkdir()
    variables = environment(folder / "state", torch_home_with_weights)
    log = (folder / "up.log").open("w")
    process = subprocess.Popen(
        [NETGRAFT, "up"], env=variables, cwd=data, stdout=log, stderr=subprocess.STDOUT
    )
    web = f"http://127.0.0.1:{variables['NETGRAFT_WEB_PORT']}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while web not in (text := (folder / "up.log").read_text()):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"netgraft up did not become ready:\n{text}")
            time.sleep(0.3)
        yield System(
            grpc=f"127.0.0.1:{variables['NETGRAFT_GRPC_PORT']}",
            web=web,
            token=(folder / "state" / "token").read_text().strip(),
            state=folder / "state",
            data=data,
            environment=variables,
            pid=process.pid,
        )
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
