"""A data root of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netgraft.settings import settings


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data root, beside which nothing may be read."""
    folder = tmp_path / "root"
    folder.mkdir()
    monkeypatch.setenv("NETGRAFT_DATA_ROOTS", str(folder))
    monkeypatch.setenv("NETGRAFT_STATE", str(tmp_path / "state"))
    settings.cache_clear()
    yield folder
    monkeypatch.undo()
    settings.cache_clear()
