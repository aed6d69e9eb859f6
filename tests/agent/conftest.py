"""Fixtures of the agent's tests: the planner over the real catalogue, and a fresh store."""

from pathlib import Path

import pytest

from netgraft.agent.rules import RulePlanner, default_planner
from netgraft.store.store import Store


@pytest.fixture(scope="session")
def planner() -> RulePlanner:
    return default_planner()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), f"sqlite:///{tmp_path / 'netgraft.db'}")
