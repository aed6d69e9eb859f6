"""Collect the sentences of all sources into the catalogues, and compile these.

python services/netgraft/language/catalogue.py            bring them up to date
python services/netgraft/language/catalogue.py --check    exit 1 where one is stale or incomplete

Needs Babel, which only a checkout has.
"""

import io
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[3]
SOURCES = ("services", "ui")
FOLDER = Path(__file__).with_name("catalogues")
KEYWORDS = {"Message": None, "mark": None}
WIDTH = 100
NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
"""The same sentences give the same bytes, whenever they are collected."""


def collected() -> Catalog:
    """Every sentence that a source marks, with the files that say it."""
    template = Catalog(charset="utf-8", creation_date=NO_DATE)
    for folder in SOURCES:
        found = extract_from_dir(ROOT / folder, keywords=KEYWORDS, method_map=[("**.py", "python")])
        for name, _line, message, _comments, context in found:
            template.add(message, locations=[(f"{folder}/{name}", None)], context=context)  # type: ignore[list-item]
    return template


def languages() -> Iterator[tuple[str, Path]]:
    """Each language that has a catalogue, and the catalogue."""
    for file in sorted(FOLDER.glob("*/LC_MESSAGES/netgraft.po")):
        yield file.parts[-3], file


def placeholders(template: str) -> set[str]:
    """Names of the values that a template is filled in with."""
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def faults(catalogue: Catalog) -> list[str]:
    """What is wrong with a catalogue: a line for each sentence without its own, or other values."""
    found = []
    for message in catalogue:
        here, there = str(message.id), str(message.string or "")
        if here and not there:
            found.append(f"lacks: {here}")
        elif here and placeholders(here) != placeholders(there):
            found.append(f"has other values: {here}")
    return found


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
