"""Sources speak plain English: no word stands in them that has made strangers stop.

What is searched: names, comments and docstrings of Python, and comments of the protos. Sentences
for people stand in the catalogues, and the words that the planner reads are not ours to choose.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "proto", ROOT / "services", ROOT / "ui", ROOT / "docs")

INSTEAD = {
    r"told": "reported, said, known",
    r"wish(es|ed)?": "request",
    r"tastes?": "preprocessing",
    r"diar(y|ies)": "progress writer",
    r"pace": "throughput",
    r"but for": "except",
    r"(?<!there )is none": "there is no",
    r"bears?|borne": "has",
    r"anew": "again",
    r"spoil(t|s|ed)": "damaged",
    r"tells": "reports, says",
    r"(the|a) house": "netgraft",
    r"whereof|wherein|thereof|hitherto|henceforth|lest|oft": "plain words",
}
"""What made strangers stop, and what to say instead."""

NAMES = {
    "wish": "request",
    "taste": "preprocessing",
    "diary": "progress",
    "pace": "throughput",
    "room": "conversation, space, folder",
    "rooms": "conversations",
    "Room": "Conversation",
    "Rooms": "Conversations",
    "tell": "report, say",
    "told": "said, known",
    "Words": "Messages",
    "bears": "has",
}
MODULES = ("look", "words", "tell", "house", "door", "edge", "room", "utils", "helpers", "common")
VERBLESS = re.compile(r"(What|By (what|which)|How|Where|Whether|Who|Whose|Of what|In which) ")
"""How a docstring of a function begins that says neither what is done nor what is returned."""


def files() -> Iterator[Path]:
    for folder in SOURCES:
        for path in sorted([*folder.rglob("*.py"), *folder.rglob("*.proto")]):
            if "_pb2" not in path.name:
                yield path


@cache
def prose(path: Path) -> list[tuple[int, str]]:
    """Lines of a file's comments and docstrings."""
    return list(_prose(path))


def _prose(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".proto":
        for number, line in enumerate(text.splitlines(), 1):
            if "//" in line:
                yield number, line.partition("//")[2]
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield from enumerate(text.splitlines(), node.lineno)


def defined(path: Path) -> Iterator[tuple[int, str]]:
    """Names that a Python file gives to things."""
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_")
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.strip("_")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.strip("_")


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("word", INSTEAD)
def test_prose_has_no_word_that_makes_strangers_stop(word: str) -> None:
    pattern = re.compile(rf"\b({word})\b", re.IGNORECASE)
    found = [
        f"{place(path, line)}: {text.strip()}"
        for path in files()
        for line, text in prose(path)
        if pattern.search(text)
    ]
    assert found == [], f"say instead: {INSTEAD[word]}"


def test_nothing_has_a_name_that_makes_strangers_stop() -> None:
    found = [
        f"{place(path, line)}: {name}, better {NAMES[name]}"
        for path in files()
        for line, name in defined(path)
        if name in NAMES
    ]
    found += [str(path.relative_to(ROOT)) for path in files() if path.stem in MODULES]
    assert found == []


def test_docstrings_of_functions_say_what_is_done_or_returned() -> None:
    found = []
    for path in files():
        if path.suffix == ".py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    first = (ast.get_docstring(node) or "").split("\n")[0]
                    if VERBLESS.match(first):
                        found.append(f"{place(path, node.lineno)}: {first}")
    assert found == []
