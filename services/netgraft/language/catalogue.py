"""Collect the sentences of all sources into the catalogues, and compile these.

python services/netgraft/language/catalogue.py            bring them up to date
python services/netgraft/language/catalogue.py --check    exit 1 where one is stale or incomplete

Needs Babel, which only a checkout has.
"""

import ast
import io
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("services", "ui")
FOLDER = Path(__file__).with_name("catalogues")
MARKS = ("Message", "mark", "say", "tr")
"""Names of what takes a sentence as its first argument, beside `plural` and `in_context`."""
WIDTH = 100
NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""The same sentences give the same bytes, whenever they are collected."""


def collected() -> Catalog:
    """Every sentence that a source marks, with the files that say it."""
    template = Catalog(charset="utf-8", creation_date=NO_DATE)
    for folder in SOURCES:
        for file in sorted((ROOT / folder).rglob("*.py")):
            where = [(file.relative_to(ROOT).as_posix(), None)]
            for context, forms in sentences(file.read_text()):
                message = forms if len(forms) > 1 else forms[0]
                template.add(message, locations=where, context=context)  # type: ignore[arg-type]
    return template


def sentences(source: str) -> Iterator[tuple[str | None, tuple[str, ...]]]:
    """The context of each marked sentence, and the sentence; of one that counts both its forms.

    Babel's own reader of Python passes over calls within f-strings.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else called
        texts = _texts(node.args)
        if name in MARKS and texts:
            yield None, (texts[0],)
        elif name == "plural" and len(texts) == 2:
            yield None, tuple(texts)
        elif name == "in_context" and len(texts) == 2:
            yield texts[0], (texts[1],)


def _texts(arguments: Sequence[ast.expr]) -> list[str]:
    """The texts that a call begins with."""
    found = (each.value if isinstance(each, ast.Constant) else None for each in arguments)
    return list(takewhile(lambda value: isinstance(value, str), found))  # type: ignore[arg-type]


def languages() -> Iterator[tuple[str, Path]]:
    """Each language that has a catalogue, and the catalogue."""
    for file in sorted(FOLDER.glob("*/LC_MESSAGES/netgraft.po")):
        yield file.parts[-3], file


def placeholders(template: str) -> set[str]:
    """Names of the values that a template is filled in with."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def faults(catalogue: Catalog) -> list[str]:
    """Return a line for each sentence without a translation, or with other values."""
    found = []
    for message in catalogue:
        here, there = _last(message.id), _last(message.string)
        if here and not there:
            found.append(f"lacks: {here}" + (f" ({message.context})" if message.context else ""))
        elif here and placeholders(here) != placeholders(there):
            found.append(f"has other values: {here}")
    return found


def _last(text: str | Sequence[str] | None) -> str:
    """A sentence; of one that counts its plural."""
    return text if isinstance(text, str) else text[-1] if text else ""


def fresh(file: Path, language: str, template: Catalog) -> tuple[bytes, bytes, list[str]]:
    """A catalogue brought up to date, the same compiled, and its faults."""
    with file.open("rb") as stream:
        catalogue = read_po(stream, locale=language)
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    catalogue.project, catalogue.version, catalogue.header_comment = "netgraft", "", ""
    catalogue.msgid_bugs_address = catalogue.last_translator = catalogue.language_team = ""
    catalogue.creation_date = catalogue.revision_date = NO_DATE
    text, compiled = io.BytesIO(), io.BytesIO()
    write_po(text, catalogue, width=WIDTH, sort_output=True, omit_header=False)
    write_mo(compiled, catalogue)
    return text.getvalue(), compiled.getvalue(), faults(catalogue)


def main() -> int:
    template, wrong = collected(), 0
    for language, file in languages():
        text, compiled, found = fresh(file, language, template)
        for fault in found:
            sys.stderr.write(f"{language} {fault}\n")
        wrong += len(found)
        parts = ((file, text), (file.with_suffix(".mo"), compiled))
        if "--check" not in sys.argv[1:]:
            for path, data in parts:
                path.write_bytes(data)
        elif any(not path.is_file() or path.read_bytes() != data for path, data in parts):
            sys.stderr.write(f"{file.relative_to(ROOT)} is stale: run `make messages`\n")
            wrong += 1
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
