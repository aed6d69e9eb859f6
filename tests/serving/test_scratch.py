"""Temporary folders that last no longer than their process, however that ends."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from netgraft.serving.forks.scratch import clear, scratch, temporary_files_in_scratch

HOLDING = """
import tempfile, time
from netgraft.serving.forks.scratch import temporary_files_in_scratch
with temporary_files_in_scratch(), tempfile.NamedTemporaryFile() as file:
    print(file.name, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of temporary files, of this process and its children."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def holder(temporary: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that has a temporary file."""
    command = [sys.executable, "-c", HOLDING]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_what_a_killed_process_has_left_is_cleared_by_the_next(
    holder: "subprocess.Popen[str]", temporary: Path
) -> None:
    assert holder.stdout is not None
    left = Path(holder.stdout.readline().strip())
    assert left.parent.parent == temporary
    clear()
    assert left.exists(), "its process lives"
    holder.kill()
    holder.wait()
    with scratch() as own:
        assert not left.parent.exists()
        assert own.stat().st_mode & 0o777 == 0o700
        clear()
        assert own.exists()
    assert list(temporary.iterdir()) == []


def test_what_others_have_there_is_left_alone(temporary: Path) -> None:
    theirs = [temporary / "netgraft-tmp-begun", temporary / "other"]
    for folder in theirs:
        folder.mkdir()
    (theirs[1] / "lock").touch()
    clear()
    assert all(folder.exists() for folder in theirs)


def test_afterwards_temporary_files_are_where_they_were_before(temporary: Path) -> None:
    with temporary_files_in_scratch():
        inside = tempfile.gettempdir()
        assert os.environ["TMPDIR"] == inside != str(temporary)
    assert tempfile.gettempdir() == os.environ["TMPDIR"] == str(temporary)
    assert not Path(inside).exists()
