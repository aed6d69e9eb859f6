"""What the pages say is true: links lead somewhere, commands parse, settings are all there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from netgraft.cli import main
from netgraft.settings import Settings

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
PAGES = (*READMES, "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "k8s/README.md")
LONGEST = 12_000
"""Bytes of a README that is read to its end."""

LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]+))?\)")
FENCE = re.compile(r"```(\w*)\n(.*?)```", re.DOTALL)
NAME = re.compile(r"`(NETGRAFT_[A-Z_]+)`")
COMMENT = re.compile(r"\s+# .*")
COMPLETION = "NETGRAFT_COMPLETE"
"""click's own, set by the completion script."""


def pages() -> list[str]:
    """Every page, by its path from the root; what is generated is left out."""
    docs = (f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))
    return [*PAGES, *(name for name in docs if name != "docs/layout.md")]


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def without_code(page: str) -> str:
    return FENCE.sub("", text(page))


@pytest.mark.parametrize("name", READMES)
def test_a_readme_is_short(name: str) -> None:
    assert len((ROOT / name).read_bytes()) <= LONGEST


def test_both_readmes_have_the_same_sections_and_commands() -> None:
    english, chinese = map(text, READMES)
    assert english.count("\n## ") == chinese.count("\n## ")
    assert [kind for kind, _ in FENCE.findall(english)] == [
        kind for kind, _ in FENCE.findall(chinese)
    ]
    for line in commands(READMES[0]):
        if not any(sign in line for sign in "\"'"):  # sentences are said in Chinese there
            assert line in commands(READMES[1])


# Links


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_files_and_headings_that_are_there(page: str) -> None:
    for target, heading in LINK.findall(without_code(page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), target
        if heading:
            assert heading in anchors(path), heading


def anchors(path: Path) -> set[str]:
    """The anchors to which links in a page may point: its headings, as GitHub spells them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings
    }


def test_the_index_lists_every_page_of_the_documentation() -> None:
    linked = {target for target, _ in LINK.findall(text("docs/index.md"))}
    there = {path.name for path in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert there - linked == set()


# Commands


def commands(page: str) -> list[str]:
    """Lines that a page asks the reader to type, without their comments."""
    lines = (line for kind, code in FENCE.findall(text(page)) if kind == "console"
             for line in code.replace("\\\n", " ").splitlines())  # fmt: skip
    return [COMMENT.sub("", line).strip() for line in lines]


def netgraft_commands() -> Iterator[tuple[str, str]]:
    for page in pages():
        for line in commands(page):
            if re.match(r"([A-Z_]+=\S+ )*netgraft( |$)", line):
                yield page, line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the pages assume."""
    for name in ("plan.yaml", "sentences.jsonl", "net.pth", "net.onnx"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), netgraft_commands())
def test_a_command_that_a_page_prints_is_understood(page: str, line: str, folder: Path) -> None:
    words = shlex.split(line)
    name, *arguments = words[words.index("netgraft") + 1 :]
    root = click.Context(main, info_name="netgraft")
    command = main.get_command(root, name)  # type: ignore[attr-defined]
    assert command is not None, name
    command.make_context(name, arguments, parent=root)


def test_what_is_no_command_is_found_out() -> None:
    root = click.Context(main, info_name="netgraft")
    command = main.get_command(root, "retarget")  # type: ignore[attr-defined]
    with pytest.raises(click.UsageError):
        command.make_context("retarget", ["resnet50", "--klasses", "3"], parent=root)


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("page", pages())
def test_the_make_targets_that_a_page_names_are_there(page: str) -> None:
    named = set(re.findall(r"`make ([a-z-]+)", text(page)))
    named |= {line.split()[1] for line in commands(page) if line.startswith("make ")}
    assert named - make_targets() == set()


# Settings


def documented() -> dict[str, str]:
    """Variables of the settings page, each with its default as it is printed."""
    rows = re.findall(
        r"^\| `(NETGRAFT_[A-Z_]+)` \| (.*?) \|", text("docs/settings.md"), re.MULTILINE
    )
    return dict(rows)


def test_every_setting_is_documented_with_its_default() -> None:
    printed = documented()
    for name, field in Settings.model_fields.items():
        variable = f"NETGRAFT_{name.upper()}"
        default = int(field.default) if isinstance(field.default, bool) else field.default
        assert variable in printed
        if field.default != "":
            assert printed[variable] == f"`{default}`", variable
        else:
            assert printed[variable] not in ("", "``"), variable


def test_every_variable_that_the_sources_read_or_name_is_documented() -> None:
    found = set()
    for root in ("services", "ui"):
        for path in (ROOT / root).rglob("*.py"):
            found |= set(re.findall(r"\bNETGRAFT_[A-Z][A-Z_]*[A-Z]\b", path.read_text()))
    assert found - documented().keys() - {COMPLETION} == set()


@pytest.mark.parametrize("page", pages())
def test_a_page_names_no_variable_that_means_nothing(page: str) -> None:
    known = {*documented(), "NETGRAFT_DATA"}  # docker/compose.yaml reads that one
    if page != "CHANGELOG.md":
        assert set(NAME.findall(text(page))) - known == set()
