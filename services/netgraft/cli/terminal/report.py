"""The report of a data check for people: counts with small bars, guesses, findings.

Knows nothing of where the report comes from.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netgraft.cli.terminal.language import tr
from netgraft.cli.terminal.output import table
from netgraft.cli.terminal.view import facts
from netgraft.language import in_context, mark

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from netgraft.v1 import tuning_pb2

BAR = 30
"""Characters of the longest bar."""
MOST_CLASSES = 30
"""Rows of the table of classes."""
MOST_FILES = 10
"""Files of a finding that are named; the rest are counted."""
SEVERITIES = {
    "error": (in_context("finding", "error"), "bold red"),
    "warning": (in_context("finding", "warning"), "yellow"),
    "note": (in_context("finding", "note"), "cyan"),
}
PARTS = {"train": mark("to train on"), "held_out": mark("held out"), "test": mark("test")}


def report_view(report: "tuning_pb2.DataReport") -> "Iterator[Table | Text | str]":
    """Yield the parts of a report, from what the data are to what is wrong with them."""
    yield _what_it_is(report)
    yield _classes(report)
    yield from (f"· {guess}" for guess in report.guesses)
    if not report.findings:
        yield tr("Nothing is wrong with it.")
    for finding in report.findings:
        yield _finding(finding)
    if report.sampled < report.pictures:
        yield tr(
            "Copies that look alike were looked for among {sampled:,} pictures, sampled evenly.",
            sampled=report.sampled,
        )
    if report.fixed:
        yield tr("A list without the files at fault: {reference}", reference=report.fixed)


def _what_it_is(report: "tuning_pb2.DataReport") -> "Table":
    parts = [
        f"{report.sizes[part]:,} {tr(name)}" for part, name in PARTS.items() if report.sizes[part]
    ]
    return facts(
        [
            (tr("data"), report.data),
            (tr("kind"), report.kind),
            (tr("task"), report.task),
            (tr("pictures"), f"{report.pictures:,}  ({', '.join(parts)})"),
            (tr("hash"), report.data_hash[:16]),
        ]
    )


def _classes(report: "tuning_pb2.DataReport") -> "Table":
    number = tr("pictures")
    made = table(tr("class"), number, "", right=(number,))
    pairs = list(zip(report.classes, report.class_sizes, strict=True))
    most = max((size for _, size in pairs), default=0) or 1
    for name, size in pairs[:MOST_CLASSES]:
        made.add_row(name, f"{size:,}", "█" * max(1 if size else 0, round(BAR * size / most)))
    if len(pairs) > MOST_CLASSES:
        made.add_row(tr("and {count:,} more", count=len(pairs) - MOST_CLASSES), "", "")
    return made


def _finding(finding: "tuning_pb2.Finding") -> "Text":
    from rich.text import Text

    name, style = SEVERITIES[finding.severity]
    made = Text.assemble((tr(name), style), f"  {finding.kind}: {finding.sentence}")
    for file in finding.files[:MOST_FILES]:
        made.append(f"\n    {file}")
    if (rest := len(finding.files) - MOST_FILES) > 0:
        made.append("\n    " + tr("and {count:,} more", count=rest), "dim")
    return made
