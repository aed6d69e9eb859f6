"""A command's process ends at once, and still does what must be done at its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

NETGRAFT = str(Path(sys.executable).with_name("netgraft"))

KEPT = """
class Kept:
    def __del__(self):
        print("taken apart")


kept = Kept()
"""
WORKER = """
import threading, time

threading.Thread(target=lambda: (time.sleep(0.5), print("finished"))).start()
"""


def said(before: str, *words: str, call: str = "main()") -> str:
    """What a process prints that runs some code and then a command, in which nothing fails."""
    code = f"{before}\nfrom netgraft.cli import main\n{call}\n"
    line = [sys.executable, "-c", code, *words]
    return subprocess.run(line, capture_output=True, text=True, check=True).stdout


def test_the_interpreter_is_not_shut_down_when_a_command_has_ended() -> None:
    assert "taken apart" not in said(KEPT, "--version")
    assert "taken apart" in said(KEPT, call="main(['--version'], standalone_mode=False)")


def test_functions_registered_for_the_exit_are_called() -> None:
    assert "registered" in said("import atexit; atexit.register(print, 'registered')", "--version")


def test_the_process_waits_for_a_running_thread() -> None:
    assert "finished" in said(WORKER, "--version").splitlines()


def test_a_program_that_calls_a_command_continues() -> None:
    call = "main(['--version'], standalone_mode=False); print('goes on')"
    assert said("", call=call).splitlines()[-1] == "goes on"


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["show"], 2), (["nosuch"], 2)])
def test_the_exit_code_is_the_commands(words: list[str], code: int) -> None:
    assert subprocess.run([NETGRAFT, *words], capture_output=True, check=False).returncode == code


def test_the_database_is_left_in_one_file(tmp_path: Path) -> None:
    environment = {**os.environ, "NETGRAFT_STATE": str(tmp_path)}
    line = [NETGRAFT, "models", "resnet18"]
    subprocess.run(line, env=environment, check=True, capture_output=True)
    assert [file.name for file in tmp_path.glob("*.db*")] == ["netgraft.db"]
