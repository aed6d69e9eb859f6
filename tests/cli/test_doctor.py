"""`netgraft doctor`: what is found, and what to do about it."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netgraft.cli import checks
from netgraft.cli.probe import Probe
from netgraft.settings import settings

from .conftest import Run


def by_name(found: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in found["checks"]}


def test_this_machine_is_checked_and_what_must_be_fixed_is_reported(
    run: Run, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_ENGINE", "ray")
    settings().make_token()
    (state / "token").chmod(0o640)
    ports = {"NETGRAFT_GRPC_PORT": free(), "NETGRAFT_WEB_PORT": free()}
    result = run("doctor", "--json", env=ports)
    found = by_name(json.loads(result.stdout))
    assert found["torch"]["message"].startswith("torch 2.")
    assert found["engine"]["message"].startswith("ray: ")
    assert found["ray"]["message"].startswith("ray 2.")
    assert found["state"]["message"].startswith(str(state))
    assert found["server"]["level"] == "warn"
    bad = {name: check for name, check in found.items() if check["level"] == "fail"}
    assert set(bad) == {"token"}
    assert bad["token"]["advice"] == f"chmod 600 {state / 'token'}"
    assert json.loads(result.stdout)["ok"] is False
    assert result.exit_code == 1


def free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_unknown_variables_that_look_like_settings_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NETGRAFT_GRCP_PORT", "9001")
    monkeypatch.setenv("NETGRAFT_LANGUAGE", "en")
    [found] = checks.variables()
    assert found.message == "netgraft has no setting NETGRAFT_GRCP_PORT"
    assert found.advice == "Did you mean NETGRAFT_GRPC_PORT?"


def test_the_token_file_in_the_settings_is_checked(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_TOKEN_FILE", str(tmp_path / "secret"))
    settings.cache_clear()
    assert checks.token().level == "fail"
    (tmp_path / "secret").write_text("token")
    (tmp_path / "secret").chmod(0o600)
    assert checks.token().message == f"{tmp_path / 'secret'} (600)"


def test_a_token_that_others_can_read_must_be_fixed(state: Path) -> None:
    settings().make_token()
    assert checks.token().level == "ok"
    file = state / "token"
    file.chmod(0o644)
    found = checks.token()
    assert (found.level, found.advice) == ("fail", f"chmod 600 {file}")


def test_a_port_that_another_program_uses_names_the_variable(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        taken = checks.port("NETGRAFT_GRPC_PORT", number, serves=False)
        assert taken.level == "fail"
        assert "NETGRAFT_GRPC_PORT=PORT" in taken.advice
        assert checks.port("NETGRAFT_GRPC_PORT", number, serves=True).level == "ok"
    assert checks.port("NETGRAFT_GRPC_PORT", number, serves=False).level == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_state_folder_that_cannot_be_written_must_be_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    monkeypatch.setenv("NETGRAFT_STATE", str(closed / "state"))
    settings.cache_clear()
    assert checks.state().level == "fail"


def test_a_state_folder_that_is_not_a_folder_must_be_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NETGRAFT_STATE", str(tmp_path / "file"))
    settings.cache_clear()
    try:
        assert checks.state().level == "fail"
    finally:
        monkeypatch.undo()
        settings.cache_clear()


def test_a_named_server_that_does_not_answer_must_be_fixed(state: Path) -> None:
    found = checks.server(f"127.0.0.1:{free()}")
    assert (found.level, found.advice) == ("fail", "netgraft up")


def test_a_server_that_runs_and_does_not_answer_must_be_ended(state: Path) -> None:
    assert "end process 4711" in checks.server(f"127.0.0.1:{free()}", 4711).advice


@pytest.mark.parametrize(
    ("check", "tried", "level"),
    [
        (checks.torch, {}, "warn"),
        (checks.torch, {"error": "RuntimeError: operator torchvision::nms does not exist"}, "fail"),
        (checks.torch, {"versions": "torch 2", "works": False}, "fail"),
        (checks.ray, {}, "warn"),
        (checks.ray, {"error": "ImportError: x"}, "fail"),
        (checks.weights, {}, "warn"),
    ],
)
def test_a_library_that_is_broken_or_absent_is_reported(
    check: Callable[[dict[str, Any]], checks.Finding], tried: dict[str, Any], level: str
) -> None:
    assert check(tried).level == level


def test_a_probe_says_what_broke() -> None:
    broken = Probe("import sys; sys.exit('ImportError: libcudart.so.13')")
    assert broken.result() == {"error": "ImportError: libcudart.so.13"}
    assert Probe("import os; os.abort()").result() == {"error": "ended with -6"}
