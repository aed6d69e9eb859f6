"""Tables of pictures: CSV, TSV, JSON lines or Parquet, with a column of paths and one of classes.

The columns are known by their names, the pictures are beside the table, in a folder beside it, or
at absolute paths. A folder that holds a table and its pictures is opened as the table. Several
tables that are called as parts are (train.csv, val.csv) are one data set.
"""

import posixpath
import re
import unicodedata
from pathlib import Path

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.tuning.data.containers.folder import Folder
from netgraft.tuning.data.containers.tree import Tree
from netgraft.tuning.data.kinds.headers import Columns, find_columns, has_columns
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.kinds.layout import group_by_name
from netgraft.tuning.data.kinds.parts import Names, names_of, part_named
from netgraft.tuning.data.kinds.places import Places
from netgraft.tuning.data.kinds.rows import Reading, Row, manifest_of
from netgraft.tuning.data.kinds.tabular import ENDINGS, LISTS, MOST_BYTES, Table, ending, read_table
from netgraft.tuning.data.manifest import Container, Guess, Manifest, Options, Part

GLANCE = 20
"""Rows by which a table is known to be one of pictures."""
WHOLE = re.compile(r"-?\d+(\.0+)?")
FRACTION = re.compile(r"-?\d*\.\d+(e-?\d+)?", re.IGNORECASE)
YES = frozenset(["1", "true", "yes", "1.0"])


class PictureTable:
    """A table, or a folder that holds one."""

    name = "table"
    rank = Rank.CONTENTS

    def accepts(self, place: Place) -> bool:
        if place.path.is_file():
            return ending(place.path.name) in ENDINGS | LISTS
        return bool(place.path.is_dir() and tables_in(Folder(place.path, place.roots)))

    def open(self, place: Place, options: Options) -> Manifest:
        path = place.path
        if path.is_dir():
            tree: Tree = Folder(path, place.roots)
            tables = tables_in(tree)
            if not tables:
                problem = Message("it has no table that names pictures and their classes.")
                raise InvalidData(data=place.reference, problem=problem)
        else:
            tree, tables = Folder(path.parent, place.roots), [path.name]
        return read_tables(tree, tables, str(path), self.name, options)

    def container(self, place: Place) -> Container:
        path = place.path
        return Folder(path if path.is_dir() else path.parent, place.roots)


def tables_in(tree: Tree) -> list[str]:
    """The tables at the top of a tree, or in its only folder, that name pictures which are
    there, and their classes.

    Several only where their names say of which part each is.
    """
    files, folders = tree.files_in(""), tree.folders_in("")
    if len(folders) == 1 and not any(ending(name) in ENDINGS for name in files):
        files = tree.files_in(folders[0])
    found = [name for name in files if ending(name) in ENDINGS and _is_usable(tree, name)]
    if len(found) > 1 and not all(part_named(Path(name).stem) for name in found):
        return []
    return found


def _is_usable(tree: Tree, name: str) -> bool:
    try:
        table = read_table(name, tree.read(name, MOST_BYTES), GLANCE)
        if not has_columns(table):
            return False
        columns = find_columns(name, table, Options())
    except InvalidData:
        return False
    paths = [row[columns.path] for row in table.rows]
    places = Places(tree, posixpath.dirname(name), paths)
    return any(places.name(path) for path in paths)


def read_tables(
    tree: Tree, tables: list[str], reference: str, kind: str, options: Options
) -> Manifest:
    """The manifest of tables in a tree. Raises InvalidData, InvalidValue and OutsideDataRoots."""
    names = names_of(options)
    read = Reading()
    for name in tables:
        part = part_named(Path(name).stem) if len(tables) > 1 else None
        _Read(tree, name, reference, options, names, part).into(read)
    if len(tables) == 1 and reference.rpartition("/")[2] != tables[0]:
        sentence = Message("{table} gives the classes, not the folders", table=tables[0])
        read.guesses.append(Guess("kind", sentence, "folder"))
    if not read.rows and read.absent:
        problem = Message("none of the pictures that {table} names is there.", table=tables[0])
        raise InvalidData(data=reference, problem=problem)
    return manifest_of(read, reference=reference, kind=kind, options=options, container=tree)


class _Read:
    """The reading of one table."""

    def __init__(
        self,
        tree: Tree,
        name: str,
        reference: str,
        options: Options,
        names: Names,
        part: Part | None,
    ) -> None:
        self.reference = reference
        self.options = options
        self.names = names
        self.part = part
        self.table: Table = read_table(name, tree.read(name, MOST_BYTES))
        self.columns: Columns = find_columns(reference, self.table, options)
        paths = [row[self.columns.path] for row in self.table.rows]
        self.places = Places(tree, posixpath.dirname(name), paths)
        self.splits = _Splits(self.table, self.columns, names)

    def into(self, read: Reading) -> None:
        """Add the table's pictures to those that were read."""
        labels = self._labels()
        known: set[Row] = set()
        repeated = 0
        for row, label in zip(self.table.rows, labels, strict=True):
            path = row[self.columns.path]
            name = self.places.name(path)
            if name is None:
                read.absent.append(path)
                continue
            part = self.part or self.splits.part(row)
            if not label or (part is None and self.splits.says):
                read.left_out.append(name)
                continue
            each = Row(name, label, None if self.names.makes else part, self._group(row, name))
            repeated += each in known
            known.add(each)
        read.passed_over += repeated
        read.rows += known
        read.guesses += self._guesses()

    def _labels(self) -> list[str]:
        """The classes' names. Raises InvalidData where they are measurements."""
        cells = [unicodedata.normalize("NFC", row[self.columns.label]) for row in self.table.rows]
        said = {cell for cell in cells if cell}
        if said and all(WHOLE.fullmatch(cell) for cell in said):
            return [cell.partition(".")[0] for cell in cells]
        if said and sum(FRACTION.fullmatch(cell) is not None for cell in said) > len(said) / 2:
            problem = Message(
                "its column {column} has numbers with fractions, not classes.",
                column=self.table.header[self.columns.label],
            )
            raise InvalidData(data=self.reference, problem=problem)
        return cells

    def _group(self, row: list[str], name: str) -> str:
        if self.columns.group is not None:
            return row[self.columns.group]
        return group_by_name(name, self.options.group, self.table.header)

    def _guesses(self) -> list[Guess]:
        guesses = []
        taken = self.columns.guessed(self.table, self.options)
        if taken:
            guesses.append(Guess("columns", taken))
        if self.table.encoding:
            sentence = Message(
                "the table is read as {encoding}; save it as UTF-8 if names look wrong",
                encoding=self.table.encoding,
            )
            guesses.append(Guess("", sentence))
        return guesses + self.splits.guesses()


class _Splits:
    """The column of parts and the meaning of its values."""

    def __init__(self, table: Table, columns: Columns, names: Names) -> None:
        self.column = columns.split
        self.names = names
        self.header = "" if columns.split is None else table.header[columns.split]
        self.values = set() if self.column is None else {row[self.column] for row in table.rows}
        names.must_be_among(value for value in self.values if value)
        self.flag = _flag(self.header) if self._are_flags() else None
        self.says = self.flag is not None or any(map(names.part, self.values))

    def part(self, row: list[str]) -> Part | None:
        """The part that a row names, or None."""
        if self.column is None or not self.says:
            return None
        value = row[self.column]
        if self.flag is not None:
            return self.flag[value.casefold() in YES]
        return self.names.part(value)

    def guesses(self) -> list[Guess]:
        """A sentence where the column's values name no parts."""
        if self.column is None or self.says:
            return []
        sentence = Message(
            "the column {column} names no parts by its values ({values})",
            column=self.header,
            values=sorted(self.values)[:GLANCE],
        )
        return [Guess("split", sentence)]

    def _are_flags(self) -> bool:
        plain = {value.casefold() for value in self.values if value}
        known = YES | {"0", "false", "no", "0.0"}
        return not self.names.said and bool(plain) and plain <= known


def _flag(header: str) -> tuple[Part, Part] | None:
    """The parts that no and yes mean in a column such as "is_valid"; None for other columns."""
    plain = header.casefold().replace("_", "").replace(" ", "")
    part = part_named(plain.removeprefix("is")) if plain.startswith("is") else None
    if part is None:
        return None
    return ("held_out", "train") if part == "train" else ("train", part)


KIND = PictureTable()
