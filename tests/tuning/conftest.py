"""A small job, and a store of their own, for the tests of this folder."""

from pathlib import Path

import pytest

from netgraft.store.store import Store
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.spec import ResolvedSpec, Spec


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'test.db'}")


@pytest.fixture
def jobs(store: Store) -> Jobs:
    return Jobs(store)


@pytest.fixture
def resolved() -> ResolvedSpec:
    """A resolved spec; the code that keeps jobs reads nothing in it."""
    spec = Spec(
        model="0" * 64,
        data="digits",
        epochs=2,
        lr=0.001,
        batch_size=32,
        optimizer="adamw",
        loss="cross_entropy",
        workers=2,
        device="cpu",
        precision="fp32",
        strategy="full",
        image_size=48,
        seed=0,
    )
    return ResolvedSpec(spec, ("epochs 2: because",))
