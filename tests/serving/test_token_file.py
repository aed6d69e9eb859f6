"""NETGRAFT_TOKEN_FILE: the token lies in a file of its own."""

from pathlib import Path

import pytest

from netgraft.client import Client
from netgraft.errors import NoTokenInFile
from netgraft.settings import settings


@pytest.fixture
def token_file(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that NETGRAFT_TOKEN_FILE names; not written yet."""
    monkeypatch.setenv("NETGRAFT_TOKEN_FILE", str(tmp_path / "secret"))
    settings.cache_clear()
    return tmp_path / "secret"


def test_a_token_may_lie_in_a_file_of_its_own(token_file: Path, state: Path) -> None:
    token_file.write_text("from-a-file\n")
    assert settings().read_token() == settings().make_token() == "from-a-file"
    assert Client("127.0.0.1:9").token == "from-a-file"
    assert not (state / "token").exists()


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_token_file_without_a_token_is_an_error_and_none_is_made(
    token_file: Path, state: Path, content: bytes | None
) -> None:
    if content is not None:
        token_file.write_bytes(content)
    for read in (settings().read_token, settings().make_token):
        with pytest.raises(NoTokenInFile, match=f"{token_file}, which NETGRAFT_TOKEN_FILE names"):
            read()
    assert not state.exists()
    assert token_file.exists() == (content is not None)


def test_an_empty_variable_names_no_token_file(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_TOKEN_FILE", "")
    settings.cache_clear()
    assert len(settings().make_token()) >= 32
