"""Settings from the environment: valid values are taken, others are reported."""

import os
from pathlib import Path

import pytest

from netgraft.app import SPINS, export_environment
from netgraft.errors import InvalidValue
from netgraft.settings import settings


@pytest.mark.parametrize("level", ["debug", "Info", "WARNING", " error "])
def test_a_log_level_may_be_in_small_letters(
    state: object, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("NETGRAFT_LOG_LEVEL", level)
    assert settings().log_level == level.strip().upper()


@pytest.mark.parametrize("level", ["loud", "", "7"])
def test_an_unknown_log_level_is_refused_by_its_variables_name(
    state: object, monkeypatch: pytest.MonkeyPatch, level: str
) -> None:
    monkeypatch.setenv("NETGRAFT_LOG_LEVEL", level)
    with pytest.raises(InvalidValue, match=f"NETGRAFT_LOG_LEVEL cannot be {level}: 'DEBUG'"):
        settings()


@pytest.mark.parametrize("said", ["", "300000"])
def test_threads_that_wait_sleep_soon_unless_their_user_says_otherwise(
    said: str, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    monkeypatch.setattr(os, "environ", own | ({"GOMP_SPINCOUNT": said} if said else {}))
    export_environment()
    assert os.environ["GOMP_SPINCOUNT"] == (said or SPINS)
