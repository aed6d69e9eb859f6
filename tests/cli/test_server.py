"""up, demo and token, as far as they go without starting everything (tests/e2e does)."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from netgraft import app, codes
from netgraft.cli import main
from netgraft.cli.child import Running, netgraft_up
from netgraft.client import RemoteError
from netgraft.settings import settings

from .conftest import Run


@pytest.fixture
def taken() -> Iterator[str]:
    """A port that another program uses."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield str(other.getsockname()[1])


@pytest.mark.parametrize("variable", ["NETGRAFT_GRPC_PORT", "NETGRAFT_WEB_PORT"])
@pytest.mark.parametrize("word", ["up", "demo"])
def test_a_port_in_use_is_reported_before_anything_starts(
    run: Run, taken: str, word: str, variable: str
) -> None:
    ports = {"NETGRAFT_GRPC_PORT": free(), "NETGRAFT_WEB_PORT": free(), variable: taken}
    result = run(word, env=ports)
    assert result.exit_code == 1
    assert result.stderr == (
        f"Error: Port {taken} is in use. Stop what uses it, or choose another with "
        f"{variable}=PORT. (ADDRESS_IN_USE)\n"
    )


def free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def test_the_token_is_made_once_and_for_its_owner_only(run: Run, state: Path) -> None:
    first = run("token").stdout.strip()
    assert len(first) >= 32
    assert json.loads(run("token", "--json").stdout) == {"token": first}
    assert (state / "token").stat().st_mode & 0o777 == 0o600


def test_a_child_that_cannot_start_gives_its_reason(
    state: Path, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETGRAFT_WEB_PORT", taken)
    with pytest.raises(RemoteError, match=taken) as caught, netgraft_up(state / "up.log"):
        pytest.fail("it cannot be up")
    assert caught.value.reason == "ADDRESS_IN_USE"


def test_a_start_that_fails_names_the_log_which_says_why(state: Path, tmp_path: Path) -> None:
    too_long = tmp_path / ("x" * 100)  # for the path of a socket
    too_long.mkdir()
    ports = {"NETGRAFT_GRPC_PORT": free(), "NETGRAFT_WEB_PORT": free()}
    done = subprocess.run(
        [sys.executable, "-m", "netgraft.cli", "up", "--no-web"],
        env={**os.environ, **ports, "TMPDIR": str(too_long), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    log = state / "logs" / "up.log"
    assert done.returncode == 1
    assert done.stdout == ""
    starting, error = done.stderr.splitlines()
    assert starting.startswith("Starting")
    assert f"see {log}. (CANNOT_START)" in error
    assert "AF_UNIX path too long" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_child_ends_when_its_parent_is_killed() -> None:
    child = (
        "from netgraft.parent import end_with_parent; import os, time; "
        "end_with_parent(os.getppid()); print(os.getpid(), flush=True); time.sleep(600)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 30
    while alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is not yet collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_every_page_is_opened_with_a_new_code(state: Path) -> None:
    web = "http://127.0.0.1:7860"
    running = Running("127.0.0.1:9000", web, None)  # type: ignore[arg-type]
    opened = [running.page(path) for path in ("/viz/1/", "/viz/1/", "/viz/1/?focus=fc")]
    addresses, given = zip(*(page.split("code=") for page in opened), strict=True)
    assert addresses == (f"{web}/viz/1/?", f"{web}/viz/1/?", f"{web}/viz/1/?focus=fc&")
    assert len(set(given)) == 3
    assert all(codes.spend(code) for code in given)


def test_a_link_logs_in_by_a_code_and_holds_no_token(run: Run, state: Path) -> None:
    link = run("token", "--link").stdout.strip()
    assert link.startswith("http://127.0.0.1:7860/?code=")
    assert (state / "token").read_text().strip() not in link
    shown = json.loads(run("token", "--link", "--json").stdout)
    assert shown["login_url"] != link
    assert codes.spend(shown["login_url"].partition("code=")[2])


@pytest.mark.parametrize(
    ("words", "lines"),
    [([], ["Starting…", "Chat", "The", "gRPC", "Up"]), (["--json"], ['{"grpc":'])],
)
def test_up_prints_a_link_and_not_the_token(
    state: Path, words: list[str], lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its output is kept by journald, Docker and Kubernetes."""
    settings().make_token()
    endpoints = app.Endpoints("127.0.0.1:9000", "http://127.0.0.1:7860")
    monkeypatch.setattr(app, "check_ports", lambda **_: None)
    monkeypatch.setattr(app, "up", lambda *, ready, **_: ready(endpoints))
    shown = CliRunner().invoke(main, ["up", *words]).output
    assert [line.split()[0] for line in shown.splitlines()] == lines
    assert "http://127.0.0.1:7860/?code=" in shown
    assert settings().read_token() not in shown
    if words:
        assert list(json.loads(shown)) == ["grpc", "web", "login_url"]
