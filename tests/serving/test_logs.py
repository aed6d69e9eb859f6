"""The log of other programs' output: not on the terminal, bounded, readable by its owner only."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netgraft.logs import KEPT_BYTES, LIMIT_BYTES, logged

TALKATIVE = """
import os, subprocess, sys
from pathlib import Path
from netgraft.logs import logged

try:
    with logged(Path(sys.argv[1])) as log:
        os.write(2, b"from C++\\n")
        print("from Python", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        with log.on_terminal():
            print("ours")
            print("ours too", file=sys.stderr)
            os.write(1, b"from C++ meanwhile\\n")
        raise RuntimeError
except RuntimeError:
    print("afterwards")
"""


def test_what_libraries_and_children_say_is_in_the_file_and_our_words_are_not(
    tmp_path: Path,
) -> None:
    path = tmp_path / "logs" / "up.log"
    command = [sys.executable, "-c", TALKATIVE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("ours\nafterwards\n", "ours too\n")
    said = ["from C++", "from Python", "from a child", "from C++ meanwhile"]
    assert path.read_text().splitlines() == said


def test_a_log_is_its_owners_only_and_the_last_one_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "up.log"
    for number in range(3):
        with logged(path):
            os.write(1, b"%d" % number)
    assert (path.read_text(), Path(f"{path}.1").read_text()) == ("2", "1")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_log_that_grows_keeps_its_end_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "up.log"
    with logged(path) as log:
        os.write(1, b"x" * LIMIT_BYTES)
        log.trim()
        assert path.stat().st_size == LIMIT_BYTES
        os.write(1, b"the end\n")
        log.trim()
        os.write(1, b"and on\n")
    assert path.stat().st_size == KEPT_BYTES + len("and on\n")
    assert path.read_text().endswith("xthe end\nand on\n")


def test_a_log_that_cannot_be_written_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file in its folder's place")
    with pytest.raises(OSError, match="logs"), logged(tmp_path / "logs" / "up.log"):
        pytest.fail("it cannot be open")
