"""Which columns of a table hold the pictures, their classes, parts and groups."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from netgraft.errors import InvalidData, InvalidValue
from netgraft.language import Message
from netgraft.tuning.data.kinds.columns import ROLES, said_columns
from netgraft.tuning.data.kinds.endings import PICTURES
from netgraft.tuning.data.kinds.tabular import SAMPLE, Table, ending
from netgraft.tuning.data.manifest import Options

WORDS = {
    "path": """path filepath imagepath imgpath picturepath photopath filename imagefilename
        imagefile imagename imgname file files image images img picture photo imageurl imageid
        imgid fileid id idcode uuid""",
    "label": """classname categoryname labelname labels label class category target targets y
        species breed diagnosis dx type kind tag emotion expression disease variety cultivar
        classid categoryid labelid classes classlabel groundtruth gt""",
    "split": """split subset set partition part fold phase usage dataset isvalid isvalidation isval
        istest istrain""",
    "group": """group groupid patient patientid subject subjectid person personid participant
        session sessionid scene sceneid""",
}
"""Names of columns without spaces and signs, the likeliest first."""
KNOWN = {role: words.split() for role, words in WORDS.items()}
SIGNS = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Columns:
    """Numbers of the columns."""

    path: int
    label: int
    split: int | None = None
    group: int | None = None

    def guessed(self, table: Table, options: Options) -> Message | None:
        """A sentence on the columns that nobody named."""
        said = said_columns(options)
        taken = {"path": self.path, "label": self.label, "split": self.split, "group": self.group}
        named = [
            f"{role}={table.header[column]}"
            for role, column in taken.items()
            if column is not None and role not in said
        ]
        return Message("columns taken: {columns}", columns=",".join(named)) if named else None


def find_columns(name: str, table: Table, options: Options) -> Columns:
    """The columns of a table. Raises InvalidValue and InvalidData."""
    said = said_columns(options)
    found = {role: _said(table, said[role], role) for role in ROLES if role in said}
    for role in ROLES:
        if role not in found:
            column = next(_named(table, role, set(found.values())), None)
            if column is not None:
                found[role] = column
    if options.group in table.header:
        found["group"] = table.header.index(options.group)
    _fill_in(table, found, said)
    for role in ("path", "label"):
        if role not in found:
            raise InvalidData(data=name, problem=_missing(table, role))
    return Columns(**found)


def has_columns(table: Table) -> bool:
    """True if a table says which class a picture has, by the names in its header."""
    found: dict[str, int] = {}
    for role in ROLES:
        column = next(_named(table, role, set(found.values())), None)
        if column is not None:
            found[role] = column
    _fill_in(table, found, {})
    return "path" in found and "label" in found


def _said(table: Table, column: str, role: str) -> int:
    names = [name.casefold() for name in table.header]
    if column.casefold() in names:
        return names.index(column.casefold())
    expected = Message("one of {choices}", choices=list(table.header))
    raise InvalidValue(name=f"columns {role}", value=repr(column), expected=expected)


def _named(table: Table, role: str, taken: set[int]) -> Iterator[int]:
    """The columns whose names mean a role, the likeliest first."""
    plain = [SIGNS.sub("", name.casefold()) for name in table.header]
    for word in KNOWN[role]:
        for column, name in enumerate(plain):
            if name == word and column not in taken:
                yield column


def _fill_in(table: Table, found: dict[str, int], said: dict[str, str]) -> None:
    """Find the pictures by their endings, and take the only column that is left for the class."""
    pictures = [column for column in range(len(table.header)) if _holds_pictures(table, column)]
    if "path" not in said and pictures and found.get("path") not in pictures:
        for role in [role for role, column in found.items() if column == pictures[0]]:
            del found[role]
        found["path"] = pictures[0]
    left = [column for column in range(len(table.header)) if column not in found.values()]
    if "path" in found and "label" not in found and len(left) == 1:
        found["label"] = left[0]


def _holds_pictures(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows[:SAMPLE]]
    return sum(ending(cell) in PICTURES for cell in cells) > len(cells) / 2


def _missing(table: Table, role: str) -> Message:
    what = Message("the pictures") if role == "path" else Message("the classes")
    return Message(
        "no column is named as if it held {what}; say which of {columns} does with "
        "`--columns {role}=…`.",
        what=what,
        columns=list(table.header),
        role=role,
    )
