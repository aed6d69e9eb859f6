"""Sources are in plain English, without the words that have confused readers.

Searched are the names, comments and docstrings of Python, the comments of all other languages, and
the documentation. Sentences for people are in the catalogues, and the words that the planner reads
are not ours to choose.
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
FOLDERS = ("proto", "services", "ui", "docs", "docker", "k8s", ".ci")
FILES = ("Makefile", "pyproject.toml")

SLASHES = re.compile(r"(?:^|[ \t])//(.*)", re.MULTILINE)
HASH = re.compile(r"(?:^|[ \t])#(.*)", re.MULTILINE)
BLOCK = re.compile(r"/\*(.*?)\*/", re.DOTALL)
COMMENTS = {
    ".proto": (SLASHES,),
    ".js": (SLASHES, BLOCK),
    ".css": (BLOCK,),
    ".yaml": (HASH,),
    ".toml": (HASH,),
    ".sh": (HASH,),
    "Dockerfile": (HASH,),
    ".dockerignore": (HASH,),
    "Makefile": (HASH,),
    ".md": (re.compile(r"(.+)"),),
}
"""How a file's name ends → its comments; of Markdown, all that it says."""

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
"""Words that have confused readers, and what to say instead."""

NAMES = {
    "wish": "request",
    "taste": "preprocessing",
    "diary": "progress",
    "pace": "throughput",
    "room": "conversation, space, folder",
    "rooms": "conversations",
    "tell": "report, say",
    "tells": "reports, says",
    "told": "said, known",
    "bears": "has",
    "anew": "again",
    "house": "netgraft",
    "door": "server, entry",
    "doors": "servers, entries",
}
"""The same for names, and for the parts of names between "_" or capitals."""
CLASSES = {"Words": "Messages"}
PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
MODULES = ("look", "words", "tell", "house", "door", "edge", "room", "utils", "helpers", "common")
VERBLESS = re.compile(r"(What|By (what|which)|How|Where|Whether|Who|Whose|Of what|In which) ")
"""How a docstring of a function begins that says neither what is done nor what is returned."""


def language(path: Path) -> str:
    """Return the ending by which a file's comments are found; "" if it is not a source."""
    if path.parent.name == ".ci":
        return ".sh"
    return next((end for end in (".py", *COMMENTS) if path.name.endswith(end)), "")


@cache
def files() -> list[Path]:
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*"))]
    found += [ROOT / name for name in FILES]
    return [path for path in found if path.is_file() and language(path) and "_pb2" not in path.name]


@cache
def prose(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a file's comments and docstrings, with their numbers."""
    return list(_python(path) if path.suffix == ".py" else _other(path))


def _other(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    for comment in COMMENTS[language(path)]:
        for match in comment.finditer(text):
            number = text.count("\n", 0, match.start(1)) + 1
            yield from enumerate(match[1].splitlines(), number)


def _python(path: Path) -> Iterator[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield from enumerate(text.splitlines(), node.lineno)


def defined(path: Path) -> Iterator[tuple[int, str]]:
    """Return the names that a Python file gives to things, with their lines."""
    if path.suffix != ".py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.strip("_")
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg.strip("_")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id.strip("_")
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr.strip("_")
        elif isinstance(node, ast.alias) and node.asname:
            yield node.lineno, node.asname.strip("_")


def better(name: str) -> str:
    """Return what to call a thing instead of this; "" if the name is good."""
    if name in CLASSES:
        return CLASSES[name]
    parts = [part.lower() for part in PART.findall(name)]
    return next((NAMES[part] for part in parts if part in NAMES), "")


def place(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize("word", INSTEAD)
def test_prose_has_no_word_that_confuses_readers(word: str) -> None:
    pattern = re.compile(rf"\b({word})\b", re.IGNORECASE)
    found = [
        f"{place(path, line)}: {text.strip()}"
        for path in files()
        for line, text in prose(path)
        if pattern.search(text)
    ]
    assert found == [], f"say instead: {INSTEAD[word]}"


def test_nothing_has_a_name_that_confuses_readers() -> None:
    found = [
        f"{place(path, line)}: {name}, better {better(name)}"
        for path in files()
        for line, name in defined(path)
        if better(name)
    ]
    found += [
        str(path.relative_to(ROOT))
        for path in files()
        if path.suffix == ".py" and path.stem in MODULES
    ]
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
