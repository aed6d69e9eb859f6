"""The README's promise: one command, one sentence, a trained model."""

import re
import subprocess
from pathlib import Path

import pytest
from tests.e2e.system import NETGRAFT, environment

from netgraft.models.recipes import get_recipe
from netgraft.store.store import Store

pytestmark = [pytest.mark.e2e, pytest.mark.serial, pytest.mark.timeout(900)]


def test_the_demo_trains_resnet18_on_digits_to_at_least_ninety_per_cent_from_random_weights(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [NETGRAFT, "demo", "--no-stay"],
        env=environment(tmp_path / "state", tmp_path / "no-weights"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    accuracy = re.search(r"accuracy\D*([0-9.]+)\s*%", said, re.IGNORECASE)
    assert accuracy, said
    assert float(accuracy[1]) >= 90, said
    assert re.search(r"began from\s+random weights", said), said
    assert "Traceback" not in said
    assert not (tmp_path / "state" / "server.json").exists(), "nothing runs any more"
    store = Store(str(tmp_path / "state/store"), f"sqlite:///{tmp_path / 'state/netgraft.db'}")
    tuned = re.findall(r"^\W*model\s+([0-9a-f]{64})\s*$", said, re.IGNORECASE | re.MULTILINE)
    assert tuned, said
    recipe = get_recipe(store, tuned[-1])
    assert recipe.base.weights is None
    assert recipe.metrics["accuracy"] >= 0.9
