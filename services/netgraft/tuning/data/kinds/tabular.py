"""From the bytes of a table to its header and rows: CSV, TSV, JSON lines and Parquet."""

import csv
import io
import json
from dataclasses import dataclass
from itertools import islice, pairwise

from netgraft.errors import InvalidData
from netgraft.language import Message, quoted
from netgraft.tuning.data.kinds.endings import PICTURES

ENDINGS = frozenset(["csv", "tsv", "tab", "jsonl", "ndjson", "parquet"])
"""Endings by which a table is found in a folder."""
LISTS = frozenset(["txt", "lst"])
"""Endings of tables that are opened only where they are named themselves."""
MOST_BYTES = 2**28
SAMPLE = 50
"""Lines by which a delimiter is chosen."""
DELIMITERS = ",;\t|"
DAMAGE = (csv.Error, ValueError, RecursionError)


@dataclass(frozen=True)
class Table:
    """A table of texts; every row has a cell for each column."""

    header: tuple[str, ...]
    rows: list[list[str]]
    encoding: str = ""
    """Where it is not UTF-8 and had to be guessed."""


def ending(name: str) -> str:
    """The ending of a file's name in lower case, without its dot."""
    return name.rpartition("/")[2].rpartition(".")[2].lower()


def read_table(name: str, data: bytes, most_rows: int | None = None) -> Table:
    """The header and rows of a table; of a long one the first, if so many are enough.

    Raises InvalidData.
    """
    readers = {"parquet": _parquet, "jsonl": _json_lines, "ndjson": _json_lines}
    try:
        table = readers.get(ending(name), _delimited)(data, most_rows)
    except DAMAGE as error:
        problem = Message("it cannot be read as a table ({report}).", report=quoted(error))
        raise InvalidData(data=name, problem=problem) from error
    if not table.rows:
        raise InvalidData(data=name, problem=Message("the table has no rows."))
    return table


def _delimited(data: bytes, most_rows: int | None) -> Table:
    text, encoding = _decoded(data)
    delimiter = _delimiter(text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    lines = (line for line in reader if any(cell.strip() for cell in line))
    first = next(lines, [])
    header = [cell.strip() for cell in first]
    rows = list(islice(lines, most_rows))
    if any(ending(cell) in PICTURES for cell in header):  # it is a row itself
        rows.insert(0, first)
        header = [str(number + 1) for number in range(len(header))]
    return Table(tuple(header), [_filled(row, len(header)) for row in rows], encoding)


def _filled(row: list[str], columns: int) -> list[str]:
    cells = [cell.strip() for cell in row[:columns]]
    return cells + [""] * (columns - len(cells))


def _decoded(data: bytes) -> tuple[str, str]:
    """The text, and the name of its encoding where that had to be guessed."""
    for mark, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(encoding), ""
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError:
        pass
    try:
        text = data.decode("gb18030")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace"), "Windows-1252"
    # Chinese comes in runs; an accented letter between others of the alphabet does not.
    chinese = sum(a >= "\u4e00" and b >= "\u4e00" for a, b in pairwise(text))
    if chinese:
        return text, "GB18030"
    return data.decode("cp1252", "replace"), "Windows-1252"


def _delimiter(text: str) -> str:
    """The delimiter that cuts most of the first lines into equally many cells."""
    lines = [line for line in islice(io.StringIO(text, newline=""), SAMPLE) if line.strip()]

    def cells(delimiter: str) -> tuple[int, int]:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        first = counts[0] if counts else 1
        return (sum(count == first for count in counts), first) if first > 1 else (0, 1)

    best = max(DELIMITERS, key=cells)
    if cells(best)[0] == 0:
        best = " " if cells(" ")[0] > len(lines) / 2 else ","
    return best


def _json_lines(data: bytes, most_rows: int | None) -> Table:
    lines = (line for line in data.decode("utf-8-sig").splitlines() if line.strip())
    found = [json.loads(line) for line in islice(lines, most_rows)]
    if not all(isinstance(row, dict) for row in found):
        raise ValueError("not every line is an object")
    header = list(dict.fromkeys(key for row in found for key in row))
    return Table(tuple(header), [[_text(row.get(key)) for key in header] for row in found])


def _parquet(data: bytes, most_rows: int | None) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = pq.read_table(pa.BufferReader(data)).slice(length=most_rows)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    columns = [
        [_text(value) for value in column.to_pylist()]
        for column in found.columns
        if not pa.types.is_nested(column.type) and not pa.types.is_binary(column.type)
    ]
    names = [
        field.name
        for field in found.schema
        if not pa.types.is_nested(field.type) and not pa.types.is_binary(field.type)
    ]
    return Table(tuple(names), [list(row) for row in zip(*columns, strict=True)])


def _text(value: object) -> str:
    return "" if value is None else str(value).strip()
