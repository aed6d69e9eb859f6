"""`make install` with the Pythons that people have, and what earlier attempts left behind.

Everything up to the first download is the real thing: the Makefile, the script, venv.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OLD = """\
#!{python}
# Says that it is an old Python, whatever it is asked to carry out.
import sys
sys.version_info, sys.version = ({numbers}, 18), "{version}.18 (main)"
code = sys.argv[2] if sys.argv[1] == "-c" else sys.stdin.read()
sys.argv[:] = sys.argv[1:]
exec(code)
"""


def write_old_python(program: Path, version: str) -> None:
    program.parent.mkdir(exist_ok=True)
    numbers = version.replace(".", ", ")
    program.write_text(OLD.format(version=version, numbers=numbers, python=sys.executable))
    program.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The files of this repository that `make install` reads, without a virtual environment."""
    folder = tmp_path / "netgraft"
    shutil.copytree(ROOT / ".ci", folder / ".ci")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    return folder


def make(checkout: Path, *words: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """With uv and no packages: an install that gets that far has accepted its Python."""
    places = [*([path] if path else []), Path(sys.executable).parent, os.environ["PATH"]]
    nothing = {"UV_OFFLINE": "1", "UV_CACHE_DIR": str(checkout / "cache"), "UV_FIND_LINKS": ""}
    return subprocess.run(
        ["make", *words],
        cwd=checkout,
        env={**os.environ, **nothing, "PATH": os.pathsep.join(map(str, places))},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@pytest.fixture(params=["2.7", "3.9", "3.10"])
def old_python(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A folder with a `python3` that says it is old."""
    version: str = request.param
    write_old_python(tmp_path / "old/python3", version)
    return tmp_path / "old", version


def test_an_old_python_is_refused_in_one_sentence_that_says_what_to_type(
    checkout: Path, old_python: tuple[Path, str]
) -> None:
    folder, version = old_python
    done = make(checkout, "install", path=folder)
    assert done.returncode != 0
    sentence, *rest = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert f"python3 is Python {version}.18" in sentence
    assert "3.11 or newer" in sentence
    assert "make PYTHON=python3.12" in sentence
    assert rest == []
    assert not (checkout / ".venv").exists()


def test_a_python_that_is_not_there_is_named(checkout: Path) -> None:
    done = make(checkout, "install", "PYTHON=python3.99")
    assert done.returncode != 0
    assert "no python3.99 here" in done.stderr
    assert not (checkout / ".venv").exists()


def old_environment(checkout: Path, folder: Path) -> None:
    """A .venv whose Python is old."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(folder / "python3")


def unfinished(checkout: Path, _: Path) -> None:
    """An installation that was killed: the packages are there, some of them half."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True, timeout=60
    )
    (checkout / ".venv/.unfinished").touch()


def broken(checkout: Path, _: Path) -> None:
    """A .venv whose Python was uninstalled."""
    (checkout / ".venv/bin").mkdir(parents=True)
    (checkout / ".venv/bin/python").symlink_to(checkout / "gone")


@pytest.mark.parametrize("left_behind", [old_environment, unfinished, broken])
def test_a_newer_python_makes_the_environment_again(
    checkout: Path, tmp_path: Path, left_behind: object
) -> None:
    write_old_python(tmp_path / "python3", "3.9")
    left_behind(checkout, tmp_path)  # type: ignore[operator]
    trace = checkout / ".venv/from-before"
    trace.touch()
    make(checkout, "install", f"PYTHON={sys.executable}")
    assert not trace.exists()
    asked = [checkout / ".venv/bin/python", "-c", "import sys; print(sys.version_info >= (3, 11))"]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "True\n"


def test_a_good_environment_is_kept(checkout: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", checkout / ".venv"], check=True, timeout=60
    )
    trace = checkout / ".venv/from-before"
    trace.touch()
    make(checkout, "install", f"PYTHON={sys.executable}")
    assert trace.exists()
