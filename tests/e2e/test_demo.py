"""The README's promise: one command, one sentence, a trained model, and nothing that is left."""

import re
import time

import pytest
from tests.e2e.system import System

from netgraft.models.recipes import get_recipe

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_the_demo_trains_resnet18_on_digits_to_at_least_ninety_per_cent_from_random_weights(
    system: System,
) -> None:
    said = system.terminal.read_text()
    accuracy = re.search(r"finished: accuracy ([0-9.]+) %", said)
    assert accuracy, said
    assert float(accuracy[1]) >= 90, said
    assert re.search(r"began from\s+random weights", said), said
    tuned = re.findall(r"^\W*model\s+([0-9a-f]{64})\s*$", said, re.IGNORECASE | re.MULTILINE)
    assert tuned, said
    recipe = get_recipe(system.store(), tuned[-1])
    assert recipe.base.weights is None
    assert recipe.metrics["accuracy"] >= 0.9


def test_ctrl_c_ends_it_in_order_and_nothing_runs_any_more(ended: System) -> None:
    said = ended.terminal.read_text()
    assert ended.demo.returncode == 0, said
    assert "Traceback" not in said
    assert not (ended.state / "server.json").exists()
    deadline = time.monotonic() + 10  # what it has killed is still being collected
    while left := ended.processes():
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.05)
