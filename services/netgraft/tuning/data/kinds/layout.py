"""What the folders of a set of pictures mean: one level names parts, another one classes.

    train/cat/1.jpg    cat/1.jpg    cat/train/1.jpg    dataset/Training/cat/summer/1.jpg

Only names are looked at.
"""

import unicodedata
from collections.abc import Iterable, Sequence

from netgraft.errors import InvalidData, InvalidValue
from netgraft.language import Message
from netgraft.tuning.data.kinds.columns import said_columns
from netgraft.tuning.data.kinds.parts import Names, names_of
from netgraft.tuning.data.kinds.rows import Reading, Row
from netgraft.tuning.data.manifest import Guess, Options, Part

Folders = tuple[str, ...]
"""A folder's names from the reference down."""
PARENT, PREFIX = "parent", "prefix:_"
WHOLE_PATH = "path"
"""Label of nested folders: all their names, joined."""


def read_layout(
    pictures: Sequence[str], folders: Sequence[str], options: Options, reference: str
) -> Reading:
    """Find the class, part and group of each picture by the folders that it is in.

    `folders` are all there are, empty ones too. Raises InvalidData and InvalidValue.
    """
    names = names_of(options)
    by_folder: dict[str, list[str]] = {}
    for picture in pictures:
        by_folder.setdefault(picture.rpartition("/")[0], []).append(picture)
    paths = {folder: _split(folder) for folder in by_folder}
    layout = _Layout(list(paths.values()), names, options)
    read = Reading(levels=layout.levels, guesses=layout.guesses())
    for folder, members in by_folder.items():
        label = layout.class_name(paths[folder])
        if label is None:
            read.left_out += members
            continue
        part = None if names.makes else layout.part(paths[folder])
        read.rows += [
            Row(each, label, part, group_by_name(each, options.group)) for each in members
        ]
    if not read.rows:
        raise InvalidData(data=reference, problem=_why_none(pictures))
    read.empty = layout.empty_classes(map(_split, folders)) - {r.class_name for r in read.rows}
    return read


class _Layout:
    """Which level of the folders with pictures means what."""

    def __init__(self, paths: Sequence[Folders], names: Names, options: Options) -> None:
        self.names = names
        self.axis = _axis(paths, names)
        rests = [rest for path in paths if (rest := self._rest(path))]
        self.wrapper = _wrapper(rests)
        classes = [rest[self.wrapper :] for rest in rests]
        self.above = rests[0][: self.wrapper] if rests else ()
        self.depth = max(map(len, classes), default=0)
        self.levels = _levels(classes)
        self.label = _label_level(options, self.depth)

    def part(self, path: Folders) -> Part | None:
        """The part that a folder's pictures belong to."""
        return None if self.axis is None else self.names.part(path[self.axis])

    def class_name(self, path: Folders) -> str | None:
        """The class of a folder's pictures; None where they are in none, or in no part."""
        rest = self._rest(path)
        levels = rest[self.wrapper :] if rest else ()
        if self.label is None:
            return "/".join(map(_composed, levels)) or None
        return _composed(levels[self.label]) if len(levels) > self.label else None

    def empty_classes(self, folders: Iterable[Folders]) -> set[str]:
        """The classes to train on that folders name, with or without pictures."""
        if self.label != 0:
            return set()
        return {
            _composed(rest[-1])
            for path in folders
            if (rest := self._rest(path))
            and len(rest) == self.wrapper + 1
            and rest[: self.wrapper] == self.above
            and self.part(path) in ("train", None)
            and (self.axis is None or self.names.part(rest[-1]) is None)
        }

    def guesses(self) -> list[Guess]:
        """Return what the names of the folders leave open."""
        if self.above and self.axis is None:
            sentence = Message(
                "the classes are the folders in {folder}", folder="/".join(self.above)
            )
            return [Guess("", sentence), *self._of_levels()]
        return self._of_levels()

    def _of_levels(self) -> list[Guess]:
        if self.label == 0 and self.levels:
            upper, lower = len(self.levels[0]), len(self.levels[1])
            sentence = Message(
                "the {upper} outer folders are the classes, not the {lower} inner ones",
                upper=upper,
                lower=lower,
            )
            return [Guess("columns", sentence, "label=2")]
        if self.label == 0 and self.depth > 1:
            sentence = Message("pictures in folders within a class belong to that class")
            return [Guess("columns", sentence, "label=2")]
        return []

    def _rest(self, path: Folders) -> Folders | None:
        """The names without that of the part; None where a part should be named and is not."""
        if self.axis is None:
            return path
        if len(path) <= self.axis or (part := self.part(path)) is None:
            return None
        below = path[self.axis + 1 :]
        # Some archives have a part's folder twice: seg_train/seg_train/forest.
        while len(below) > 1 and not self.names.said and self.names.part(below[0]) == part:
            below = below[1:]
        return path[: self.axis] + below


def _axis(paths: Sequence[Folders], names: Names) -> int | None:
    """The level whose names are parts; None where no level is. Raises InvalidValue."""
    deepest = max(map(len, paths), default=0)
    for level in range(deepest):
        reaching = [path for path in paths if len(path) > level]
        parts = {path[level]: names.part(path[level]) for path in reaching}
        if names.said:
            if set(names.said.values()) <= {part for part in parts.values() if part}:
                names.must_be_among(parts)
                return level
        elif _names_parts(level, paths, parts):
            return level
    names.must_be_among({path[0] for path in paths if path})
    return None


def _names_parts(level: int, paths: Sequence[Folders], parts: dict[str, Part | None]) -> bool:
    """True if a level's names are parts: all of them, or "train" beside something else.

    A folder "train" that has pictures itself may be a class, of vehicles, and a folder "test" in
    one class alone is nothing more.
    """
    reaching = [path for path in paths if len(path) > level]
    wrapped = len({path[:level] for path in reaching}) == 1
    train = [path for path in reaching if parts[path[level]] == "train"]
    deeper = any(len(path) > level + 1 for path in reaching)
    if not all(parts.values()):
        alone = len([part for part in parts.values() if part]) == 1
        direct = any(len(path) == level + 1 for path in train)
        holds = any(len(path) > level + 1 for path in train)
        return wrapped and holds and not (alone and direct)
    if level == 0:
        return deeper or len(parts) > 1
    ends_above = any(len(path) == level for path in paths)
    return bool(train) and (not ends_above or (wrapped and deeper))


def _wrapper(rests: Sequence[Folders]) -> int:
    """Count the outer folders that hold all others, and so name no class."""
    shortest = min(map(len, rests), default=0)
    for level in range(shortest):
        if level == shortest - 1 or len({rest[level] for rest in rests}) > 1:
            return level
    return 0


def _levels(classes: Sequence[Folders]) -> tuple[Folders, ...]:
    """The names at each level where every class has folders in it that differ."""
    shortest = min(map(len, classes), default=0)
    found = tuple(
        tuple(sorted({_composed(path[level]) for path in classes})) for level in range(shortest)
    )
    return found if shortest > 1 and len(found[1]) > 1 else ()


def _label_level(options: Options, depth: int) -> int | None:
    """The level that names classes, from 0; None: all of them. Raises InvalidValue."""
    said = said_columns(options).get("label", "1")
    if said == WHOLE_PATH:
        return None
    if said.isdecimal() and 1 <= int(said) <= max(1, depth):
        return int(said) - 1
    expected = Message(
        "a level of folders from 1 to {most}, or {path}", most=depth, path=WHOLE_PATH
    )
    raise InvalidValue(name="columns label", value=repr(said), expected=expected)


def group_by_name(picture: str, said: str, columns: Sequence[str] = ()) -> str:
    """Return what keeps a picture together with others, by `Options.group`.

    Raises InvalidValue, which names the columns that could have been said, too.
    """
    if not said:
        return ""
    folder, _, name = picture.rpartition("/")
    kind, colon, separator = said.partition(":")
    if said == PARENT:
        return folder
    if kind == "prefix" and colon and separator:
        return name.partition(separator)[0]
    expected = Message("one of {choices}", choices=[*columns, PARENT, PREFIX])
    raise InvalidValue(name="group", value=repr(said), expected=expected)


def _why_none(pictures: Sequence[str]) -> Message:
    if pictures:
        return Message(
            "its pictures are in no class: put those of each class into a folder of its own."
        )
    return Message("it is empty: give a folder with one folder of pictures per class.")


def _split(folder: str) -> Folders:
    return tuple(folder.split("/")) if folder else ()


def _composed(name: str) -> str:
    """A class name in one spelling: file systems differ in how they compose letters."""
    return unicodedata.normalize("NFC", name)
