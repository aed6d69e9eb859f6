"""The wheel, built and used where nothing but `pip install netgraft` has been done.

No network is needed where the cache of packages is warm: hatchling comes with the dev extra, the
few packages of a base install are there from this environment's own installation.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PORTIONS = ("proto", "services", "ui")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)]+)\)")
PROGRAMS = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
UV = shutil.which("uv", path=PROGRAMS)


def uv(*words: str | Path, offline: bool = True) -> None:
    """Run uv; from its cache alone, or with the network where that lacks something."""
    assert UV, "uv is missing: `make install` brings it"
    line = [UV, *map(str, words), *(["--offline"] if offline else [])]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode and offline:
        uv(*words, offline=False)
    else:
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    where = ("--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder)
    uv("build", *where, ROOT)
    (built,) = folder.glob("netgraft-*.whl")
    return built


@pytest.fixture(scope="session")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of a fresh environment in which the wheel was installed, without extras."""
    folder = tmp_path_factory.mktemp("base") / "env"
    uv("venv", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    uv("pip", "install", "--python", python, "-c", ROOT / "constraints.txt", wheel)
    return python.parent


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, far from this checkout, with an empty state in it."""
    monkeypatch.setenv("NETGRAFT_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(base: Path, *words: str) -> subprocess.CompletedProcess[str]:
    line = [str(base / words[0]), *words[1:]]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def said(base: Path, *words: str) -> str:
    """The output of a command that must succeed."""
    done = run(base, *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_bytes(archive.read(name))


# Contents


def test_every_tracked_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", *(f"{root}/netgraft" for root in PORTIONS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {name.partition("/")[2] for name in tracked if (ROOT / name).is_file()}
    assert len(wanted) > 200
    assert wanted - names(wheel) == set()


@pytest.mark.parametrize(
    "data",
    [
        "netgraft/py.typed",
        "netgraft/v1/py.typed",
        "netgraft/ui/py.typed",
        "netgraft/models/zoo/catalogue.json",
        "netgraft/models/files/fingerprints.json",
        "netgraft/agent/rules/english.words",
        "netgraft/agent/rules/chinese.words",
        "netgraft/language/catalogues/zh/LC_MESSAGES/netgraft.mo",
        "netgraft/graph/viewer/compare.css",
        "netgraft/graph/viewer/compare.js",
        "netgraft/graph/viewer/language.js",
        "netgraft/graph/viewer/lens.js",
        "netgraft/graph/viewer/netgraft.js",
        "netgraft/graph/viewer/nodes.js",
        "netgraft/ui/attach.js",
        "netgraft/ui/style.css",
        "netgraft/v1/agent.proto",
        "netgraft/store/migrations/env.py",
    ],
)
def test_the_data_that_the_package_reads_is_in_the_wheel(wheel: Path, data: str) -> None:
    assert data in names(wheel)


def test_nothing_else_is_in_the_wheel(wheel: Path) -> None:
    found = names(wheel)
    assert {name.partition("/")[0] for name in found} == {
        "netgraft",
        next(name for name in found if name.endswith("/METADATA")).partition("/")[0],
    }
    assert [name for name in found if "test" in name.lower() or "__pycache__" in name] == []


def test_it_carries_its_licence_and_says_so(wheel: Path) -> None:
    about = metadata(wheel)
    assert about["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names(wheel))


def test_its_page_names_places_and_kinds(wheel: Path) -> None:
    about = metadata(wheel)
    urls = dict(line.split(", ", 1) for line in about.get_all("Project-URL", []))
    assert urls.keys() >= {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert all(url.startswith("https://") for url in urls.values())
    assert "Typing :: Typed" in about.get_all("Classifier", [])
    assert "pytorch" in str(about["Keywords"])


def test_its_page_shows_the_readme_with_absolute_addresses(wheel: Path) -> None:
    page = str(metadata(wheel).get_payload())
    readme = (ROOT / "README.md").read_text()
    assert page.count("\n## ") == readme.count("\n## ")
    links = LINK.findall(page)
    assert len(links) == len(LINK.findall(readme))
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    assert any(link.endswith("/main/ui/screenshot.png") for link in links)


def test_the_base_needs_no_torch_no_ray_and_no_database(wheel: Path) -> None:
    listed = metadata(wheel).get_all("Requires-Dist", [])
    needs = [line for line in listed if "extra ==" not in line]
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert len(needs) == len(wanted)
    heavy = ("torch", "ray", "sqlalchemy", "numpy", "gradio", "timm")
    assert [line for line in needs if re.match(rf"({'|'.join(heavy)})\b", line)] == []


# Using it


@pytest.mark.parametrize("module", ["torch", "ray", "sqlalchemy", "numpy", "pytest"])
def test_the_fresh_environment_is_fresh(base: Path, scratch: Path, module: str) -> None:
    assert f"No module named '{module}'" in run(base, "python", "-c", f"import {module}").stderr


def test_its_code_is_the_wheels(base: Path, scratch: Path) -> None:
    where = said(base, "python", "-c", "import netgraft.client as c; print(c.__file__)")
    assert Path(where.strip()).is_relative_to(base.parent)


def test_it_says_its_version(base: Path, scratch: Path, wheel: Path) -> None:
    assert said(base, "netgraft", "--version") == f"netgraft {metadata(wheel)['Version']}\n"


def test_it_says_its_commands_in_both_languages(base: Path, scratch: Path) -> None:
    assert "retarget" in said(base, "netgraft", "--help")
    assert "更换分类头" in said(base, "netgraft", "--language", "zh", "--help")


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("show resnet50", [{"show": {"model": "resnet50"}}]),
        ("把resnet50改成100类", [{"retarget": {"model": "resnet50", "classes": 100}}]),
    ],
)
def test_a_sentence_is_planned(
    base: Path, scratch: Path, text: str, steps: list[dict[str, object]]
) -> None:
    reply = json.loads(said(base, "netgraft", "plan", text, "--json"))
    assert (reply["kind"], reply["steps"]) == ("plan", steps)


def test_a_file_of_sentences_is_planned(base: Path, scratch: Path) -> None:
    (scratch / "said.jsonl").write_text('{"id": 7, "turns": ["show resnet50", "and vgg16?"]}\n')
    reply = json.loads(said(base, "netgraft", "plan", "--batch", "said.jsonl"))
    assert reply["id"] == 7
    assert reply["reply"]["steps"] == [{"show": {"model": "vgg16"}}]


def test_the_zoo_is_listed(base: Path, scratch: Path) -> None:
    reply = json.loads(said(base, "netgraft", "models", "resnet", "--limit", "3", "--json"))
    assert [entry["name"] for entry in reply["entries"]] == ["resnet18", "resnet34", "resnet50"]
    assert int(reply["total"]) > 100
    assert "resnet18" in said(base, "netgraft", "models", "resnet")


def test_a_bound_that_nothing_keeps_is_refused(base: Path, scratch: Path) -> None:
    done = run(base, "netgraft", "models", "--max-params", "-1")
    assert done.returncode != 0
    assert "INVALID_VALUE" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["show", "resnet50"],
        ["retarget", "resnet50", "--classes", "10"],
        ["plan", "show resnet50", "--conversation", "mine"],
        ["up"],
    ],
)
def test_what_needs_more_says_what_to_install(base: Path, scratch: Path, words: list[str]) -> None:
    done = run(base, "netgraft", *words)
    assert done.returncode != 0
    assert "netgraft[services]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_doctor_calls_it_a_client(base: Path, scratch: Path) -> None:
    assert "a client only" in run(base, "netgraft", "doctor").stdout


# Its types


def mypy(base: Path, scratch: Path, *codes: str) -> subprocess.CompletedProcess[str]:
    """mypy's output for programs that use the installed package, far from its sources."""
    names = [f"program{number}.py" for number in range(len(codes))]
    for name, code in zip(names, codes, strict=True):
        (scratch / name).write_text(code)
    where = ("--python-executable", base / "python", "--cache-dir", base.parent / "mypy")
    line = [sys.executable, "-m", "mypy", "--strict", *where, *names]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_a_type_checker_knows_its_types(base: Path, scratch: Path) -> None:
    code = """\
from netgraft.client import Client
from netgraft.settings import settings
from netgraft.v1 import surgery_pb2

port: str = settings().web_port
client = Client(9000)
request = surgery_pb2.RetargetModelRequest(model=50)
"""
    found = mypy(base, scratch, code).stdout
    lines = [line.split(" ", 1)[0] for line in found.splitlines() if ": error:" in line]
    assert lines == [f"program0.py:{number}:" for number in (5, 6, 7)], found


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md", "docs/python.md"])
def test_the_programs_that_the_pages_print_are_typed(base: Path, scratch: Path, page: str) -> None:
    assert blocks(page)
    done = mypy(base, scratch, *blocks(page))
    assert done.returncode == 0, done.stdout
