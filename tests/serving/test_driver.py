"""The supervisor's view of the driver of Ray: which part has ended, when several do at once."""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from netgraft.app.ray import Driver
from netgraft.errors import PartLost


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Two processes that stand where the driver's and the raylet's are."""
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def test_a_part_of_ray_that_ends_is_named(sleepers: list[subprocess.Popen[bytes]]) -> None:
    driver, raylet = sleepers
    reader, writer = os.pipe()
    watched = Driver(driver, os.fdopen(reader))
    with os.fdopen(writer, "w") as report:
        print(f'{{"processes": {{"raylet": {raylet.pid}}}}}', file=report, flush=True)
        raylet.kill()
        with pytest.raises(PartLost, match="raylet"):
            check_until_lost(watched)


def test_a_driver_that_fails_is_named_and_not_what_it_ends(
    sleepers: list[subprocess.Popen[bytes]],
) -> None:
    driver, raylet = sleepers
    reader, writer = os.pipe()
    watched = Driver(driver, os.fdopen(reader))
    with os.fdopen(writer, "w") as report:
        print(f'{{"processes": {{"raylet": {raylet.pid}}}}}', file=report)
        print('{"processes": {}, "ready": true}', file=report, flush=True)
        while not watched.ready:
            time.sleep(0.01)
        raylet.kill()
        raylet.wait()
        watched.check()
        driver.kill()
        with pytest.raises(PartLost, match="driver"):
            check_until_lost(watched)


def check_until_lost(driver: Driver) -> None:
    for _ in range(1000):
        driver.check()
        time.sleep(0.01)
