"""Every error is one sentence and an exit code; never a traceback."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from netgraft import deadlines
from netgraft.cli import failure, program
from netgraft.errors import ConsentNeeded, NoAnswer, NotRunning, UnknownModel, Unreachable

from .conftest import Run

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address at which nothing answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    monkeypatch.setenv("NETGRAFT_ADDRESS", address)
    return address


@pytest.mark.parametrize(
    "words",
    [
        ["do", "show resnet18"],
        ["finetune", "resnet18", "--data", "digits"],
        ["jobs"],
        ["status", "tune-1"],
        ["watch", "tune-1"],
        ["cancel", "tune-1"],
        ["resume", "tune-1"],
        ["inspect", "resnet18"],
    ],
)
def test_an_unreachable_server_is_reported_and_ends_with_5(
    run: Run, nobody: str, words: list[str]
) -> None:
    result = run(*words)
    assert result.exit_code == failure.UNREACHABLE
    assert result.stderr == (
        f"Error: No netgraft server answers at {nobody}. Start one with `netgraft up`. "
        "(UNREACHABLE)\n"
    )
    assert result.stdout == ""


def test_a_silent_server_is_reported_and_ends_with_5(
    run: Run, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "READ_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes calls and never answers
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        result = run("jobs", "--server", address)
        chinese = run("jobs", "--server", address, "--language", "zh")
    assert (result.exit_code, result.stdout) == (failure.UNREACHABLE, "")
    assert result.stderr == (
        f"Error: The netgraft server at {address} did not answer within 0.3 s. `netgraft doctor` "
        "says how it is; if it hangs, end it and run `netgraft up` again. (NO_ANSWER)\n"
    )
    assert f"{address} 上的 netgraft 服务器在 0.3 秒内没有回应" in chinese.stderr


def test_with_json_the_error_is_one_json_document_on_stdout(run: Run, nobody: str) -> None:
    result = run("jobs", "--json")
    error = json.loads(result.stdout)["error"]
    assert error["reason"] == "UNREACHABLE"
    assert nobody in error["message"]
    assert result.stderr == ""


@pytest.mark.parametrize("words", [["--json", "jobs"], ["jobs", "--json"]])
def test_options_may_be_given_before_the_command_or_after(
    run: Run, nobody: str, words: list[str]
) -> None:
    assert json.loads(run(*words).stdout)["error"]["reason"] == "UNREACHABLE"


@pytest.mark.parametrize("words", [["jobs", "--language", "zh"], ["--language", "zh", "jobs"]])
def test_errors_are_in_the_language_asked_for(run: Run, nobody: str, words: list[str]) -> None:
    assert run(*words).stderr.startswith(f"错误： {nobody} 上没有")


def test_errors_are_in_the_language_of_the_environment(run: Run, nobody: str) -> None:
    assert "没有 netgraft 服务器响应" in run("jobs", env={"LANG": "zh_CN.UTF-8"}).stderr
    assert "No netgraft server" in run("jobs", env={"LANG": "fr_FR.UTF-8"}).stderr
    assert "No netgraft server" in run("jobs", "--language", "en", env={"LANG": "zh_CN"}).stderr


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["retarget", "resnet18", "--init", "class_means"], "须与 `--init class_means` 同时给出"),
        (["retarget", "resnet18"], "请给出类别"),
        (["retarget", "resnet18", "--class-names", "a", "--map", "a"], "需要以 = 连接的两个名称"),
        (["plan"], "请给出一句话"),
        (["do"], "请给出一句话"),
        (["export", "resnet18", "-o", "model.bin"], "请给出格式"),
    ],
)
def test_options_that_do_not_fit_are_reported_in_chinese_too(
    run: Run, state: Path, words: list[str], shown: str
) -> None:
    result = run("--language", "zh", *words)
    assert result.exit_code == 2, result.output
    assert shown in result.stderr


def test_an_unknown_language_is_a_usage_error(run: Run) -> None:
    result = run("--language", "fr", "models")
    assert result.exit_code == failure.USAGE
    assert "choose en or zh" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["retarget", "resnet18"],
        ["export", "resnet18"],
        ["plan"],
        ["do"],
        ["do", "show resnet18", "--file", __file__],
        ["freeze", "resnet18"],
        ["finetune", "resnet18"],
        ["models", "--limit", "ten"],
        ["models", "--limit", str(10**30)],
        ["nonsense"],
        ["do", "--file", "no/such/plan.json"],
    ],
)
def test_wrong_usage_ends_with_2_and_is_json_when_asked(run: Run, words: list[str]) -> None:
    plain = run(*words)
    assert plain.exit_code == failure.USAGE
    assert "Error: " in plain.stderr
    as_json = run(*words, "--json")
    assert as_json.exit_code == failure.USAGE
    assert json.loads(as_json.stdout)["error"]["reason"] == "USAGE"


def test_a_wrong_setting_names_its_variable(run: Run) -> None:
    result = run("models", env={"NETGRAFT_GRPC_PORT": "many"})
    assert result.exit_code == failure.FAILED
    assert "NETGRAFT_GRPC_PORT cannot be many" in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UnknownModel(name="x", hint=""), 1),
        (ConsentNeeded(problem=""), 2),
        (Unreachable(address=""), 5),
        (NotRunning(folder=""), 5),
        (NoAnswer(address="", seconds=30), 5),
    ],
)
def test_the_exit_code_of_an_error_follows_its_reason(error: UnknownModel, code: int) -> None:
    assert failure.exit_code(error) == code


@pytest.fixture
def breaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[BaseException]]:
    """A command that raises what the test puts into the list."""
    thrown: list[BaseException] = []

    @click.command()
    def broken() -> None:
        raise thrown[0]

    monkeypatch.setattr(program.Program, "get_command", lambda *_: broken)
    yield thrown


def test_an_internal_error_is_a_sentence_too(run: Run, breaks: list[BaseException]) -> None:
    breaks.append(ZeroDivisionError("division by zero\nand more"))
    result = run("models")
    assert result.exit_code == failure.FAILED
    assert "Traceback" not in result.output
    assert "ZeroDivisionError: division by zero." in result.stderr
    assert result.stderr.endswith("(INTERNAL)\n")


def test_debug_shows_the_traceback(run: Run, breaks: list[BaseException]) -> None:
    breaks.append(UnknownModel(name="x", hint=""))
    result = run("models", env={"NETGRAFT_DEBUG": "1"})
    assert "Traceback (most recent call last)" in result.stderr


def test_a_full_disk_is_reported_as_such(run: Run, breaks: list[BaseException]) -> None:
    breaks.append(OSError(errno.ENOSPC, "No space left on device", "/data/x.onnx"))
    result = run("models")
    assert result.exit_code == failure.FAILED
    assert "(DISK_FULL)" in result.stderr
    assert "/data/x.onnx" in result.stderr


def test_a_missing_package_is_named(run: Run, breaks: list[BaseException]) -> None:
    breaks.append(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert "torch is not installed. Install netgraft[services]" in run("models").stderr


def test_ctrl_c_is_quiet(run: Run, breaks: list[BaseException]) -> None:
    breaks.append(KeyboardInterrupt())
    result = run("models")
    assert (result.exit_code, result.output) == (failure.INTERRUPTED, "")


def test_a_broken_pipe_is_not_reported(state: Path, tmp_path: Path) -> None:
    """`netgraft plan --batch … | head -1`, with far more lines than a pipe holds."""
    sentences = tmp_path / "sentences.jsonl"
    sentences.write_text('{"id": 1, "turns": ["hello"]}\n' * 2000)
    command = [NETGRAFT, "plan", "--batch", str(sentences)]
    read, write = os.pipe()
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as process:
        os.close(write)
        os.read(read, 1)
        os.close(read)
        assert process.stderr is not None
        complaint = process.stderr.read()
    assert complaint == b""
    assert process.returncode == failure.BROKEN_PIPE


def test_a_real_ctrl_c_leaves_no_traceback(state: Path) -> None:
    """A sentence is read from a terminal's other end that never answers; Ctrl-C ends it."""
    server = socket.create_server(("127.0.0.1", 0))  # takes calls and never answers
    address = f"127.0.0.1:{server.getsockname()[1]}"
    process = subprocess.Popen(
        [NETGRAFT, "jobs", "--server", address], stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with server, process:
        server.settimeout(30)
        connection, _ = server.accept()
        with connection:  # closed, it would be a server that is not there
            process.send_signal(signal.SIGINT)
            _, complaint = process.communicate(timeout=30)
    assert process.returncode == failure.INTERRUPTED
    assert complaint == b""


def test_a_command_that_is_nearly_right_is_suggested() -> None:
    result = CliRunner().invoke(program.main, ["reta"])
    assert "Did you mean 'retarget'?" in result.stderr
