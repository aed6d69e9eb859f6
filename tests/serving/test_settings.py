"""Settings from the environment: valid values are taken, others are reported."""

import pytest

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
