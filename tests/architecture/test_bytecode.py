"""Imported modules have their bytecode, even where PYTHONDONTWRITEBYTECODE is set."""

import os
import py_compile
import re
import subprocess
import sys
import tomllib
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from netgraft import bytecode

ROOT = Path(__file__).parents[2]


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A package as others write them: nested, relative, with a file for another Python."""
    folder = tmp_path / "site"
    sources = {
        "lib/__init__.py": "from . import near\nfrom .sub.deep import thing\nimport sys\n",
        "lib/near.py": "def late():\n    import lib.seldom\n",
        "lib/seldom.py": "",
        "lib/sub/__init__.py": "",
        "lib/sub/deep.py": "from ..future import *\nimport other.part\nthing = 1\n",
        "lib/future.py": "type X = = int\n",
        "lib/unused.py": "",
        "other/part.py": "",
        "heavy/__init__.py": "",
    }
    for name, source in sources.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)
    return folder


def followed(library: Path, *names: str) -> set[str]:
    """The modules that are compiled from these on."""
    sources = bytecode.Sources([str(library)], left_out={"heavy"})
    modules, seen = list(sources.of(names)), set()
    while modules:
        seen |= {name for name, _ in modules}
        modules = list(sources.of(set().union(*map(bytecode.compile_module, modules))))
    return seen


def test_what_a_module_imports_is_compiled_and_nothing_else(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    bytecode.write_bytecode()
    found = followed(library, "lib", "heavy")
    assert found == {"lib", "lib.near", "lib.sub", "lib.sub.deep", "lib.future", "other.part"}
    compiled = {
        file.parent.parent / f"{file.name.split('.')[0]}.py" for file in library.rglob("*.pyc")
    }
    assert {str(file.relative_to(library)) for file in compiled} == {
        "lib/__init__.py", "lib/near.py", "lib/sub/__init__.py", "lib/sub/deep.py", "other/part.py",
    }  # fmt: skip


def test_a_file_for_another_python_is_no_failure_but_one_of_ours_is(library: Path) -> None:
    damaged = library / "lib/future.py"
    assert bytecode.compile_module(("lib.future", str(damaged))) == set()
    with pytest.raises(SyntaxError):
        bytecode.compile_module(("netgraft.future", str(damaged)))


def test_netgraft_imports_late_so_its_functions_are_followed_too(library: Path) -> None:
    near = str(library / "lib/near.py")
    assert bytecode.compile_module(("lib.near", near)) == set()
    assert bytecode.compile_module(("netgraft.near", near)) == {"lib.seldom"}


def test_left_out_are_the_libraries_of_the_extras_that_all_does_not_ask_for() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    seldom = {name for name in extras if name not in ("services", "ui", "all", "dev")}
    named = {re.split(r"[\[>]", line)[0] for name in seldom for line in extras[name]}
    assert named == bytecode.LEFT_OUT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """An installed netgraft, as `make` sees it, with a source of its own."""
    folder = tmp_path / "netgraft"
    (folder / ".venv/bin").mkdir(parents=True)
    (folder / ".venv/bin/python").symlink_to(sys.executable)
    for name in ("proto", "services", "ui"):
        (folder / name).mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (folder / name).write_bytes((ROOT / name).read_bytes())
    (folder / ".venv/.installed").touch()
    (folder / "services/own.py").write_text("answer = 1\n")
    return folder


def install(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "install"],
        cwd=checkout,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_own_sources_are_compiled_again_when_a_pull_changed_them(checkout: Path) -> None:
    own = checkout / "services/own.py"
    compiled = Path(cache_from_source(str(own)))
    assert install(checkout).returncode == 0
    first = compiled.read_bytes()
    own.write_text("answer = 2\n")
    later = own.stat().st_mtime + 2  # than the first, as git's are; seconds count
    os.utime(own, (later, later))
    assert install(checkout).returncode == 0
    assert compiled.read_bytes() != first
    expected = py_compile.compile(str(own), cfile=str(checkout / "expected.pyc"))
    assert expected
    assert compiled.read_bytes()[:16] == Path(expected).read_bytes()[:16]


def test_an_own_source_that_cannot_be_compiled_ends_make(checkout: Path) -> None:
    (checkout / "services/own.py").write_text("answer = = 1\n")
    done = install(checkout)
    assert done.returncode != 0
    assert "own.py" in done.stdout + done.stderr
