"""Lists that netgraft writes: a data set without the pictures at fault, and with its parts.

A CSV in the state folder with columns for path, label, split and group. Paths are absolute, so
that any program can read it; of pictures in an archive they are those of its members, and a
column `inside` names the archive.
"""

import csv
import hashlib
import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from netgraft import private
from netgraft.errors import InvalidData
from netgraft.errors.disk import full_disk_is_reported
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.data.containers.folder import Folder
from netgraft.tuning.data.containers.members import Members
from netgraft.tuning.data.containers.tree import Tree
from netgraft.tuning.data.kinds.archive import tree_of
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.kinds.parts import must_be_plain, names_of
from netgraft.tuning.data.kinds.rows import Reading, Row, manifest_of
from netgraft.tuning.data.manifest import PARTS, Container, Manifest, Options

HEADER = ("path", "label", "split", "group")
INSIDE = "inside"
"""The column of the archive that has the pictures."""


def write_list(manifest: Manifest, without: Collection[str]) -> str:
    """Write a list of a data set's pictures but those of the given names; return its reference.

    Data that are no files have no list: their own reference is returned. Raises DiskFull, and
    InvalidData where no picture is left.
    """
    container = manifest.container
    if not isinstance(container, Folder | Members):
        return manifest.reference
    left = set(without)
    kept = [index for index, name in enumerate(manifest.names) if name not in left]
    if not kept:
        raise InvalidData(data=manifest.reference, problem=Message("no picture would be left."))
    inside = container.archive if isinstance(container, Members) else ""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((*HEADER, INSIDE) if inside else HEADER)
    for index in kept:
        row = (
            container.absolute(manifest.names[index]),
            manifest.class_names[manifest.labels[index]],
            manifest.parts[index],
            manifest.groups[index] if manifest.groups else "",
        )
        writer.writerow((*row, inside) if inside else row)
    return str(_written(text.getvalue().encode()))


def _written(data: bytes) -> Path:
    folder = private.make_folder(settings().lists)
    target = folder / f"{hashlib.sha256(data).hexdigest()[:16]}.csv"
    with full_disk_is_reported(str(folder)):
        partial = private.make_file(target.with_suffix(".part"))
        partial.write_bytes(data)
        partial.replace(target)
    return target


class WrittenList:
    """A list in the state folder."""

    name = "list"
    rank = Rank.FILE

    def accepts(self, place: Place) -> bool:
        return place.path.parent == settings().lists.resolve()

    def open(self, place: Place, options: Options) -> Manifest:
        must_be_plain(options, self.name)
        rows = list(_rows(place))
        tree = _tree(place, rows)
        makes = names_of(options).makes
        read = Reading()
        for row in rows:
            part = next((part for part in PARTS if part == row["split"] and not makes), None)
            if tree.has(row["path"]):
                read.rows.append(Row(row["path"], row["label"], part, row["group"]))
            else:
                read.absent.append(row["path"])
        reference = str(place.path)
        return manifest_of(
            read, reference=reference, kind=self.name, options=options, container=tree
        )

    def container(self, place: Place) -> Container:
        return _tree(place, list(_rows(place)))


def _tree(place: Place, rows: Sequence[Mapping[str, str]]) -> Tree:
    """The archive that the pictures are in, or folders."""
    archive = rows[0].get(INSIDE) if rows else ""
    if archive:
        return tree_of(Place(archive, place.roots).path)
    return Folder(place.path.parent, place.roots)


def _rows(place: Place) -> Iterator[dict[str, str]]:
    """The rows of a list. Raises InvalidData."""
    try:
        with place.path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            for row in reader:
                if None in row or None in row.values() or not set(HEADER) <= row.keys():
                    raise ValueError("a row with other columns")
                yield row
    except (OSError, ValueError, csv.Error) as error:
        problem = Message("the list is damaged; have it written again.")
        raise InvalidData(data=place.reference, problem=problem) from error


KIND = WrittenList()
