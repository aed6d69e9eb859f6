"""Archives of pictures (zip, tar, tar.gz, tar.bz2, tar.xz, tar.zst), laid out like folders.

They are known by their first bytes. A zip and a plain tar are read where they are.
"""

from pathlib import Path

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.tuning.data.containers.tarred import Tarred
from netgraft.tuning.data.containers.tree import Tree
from netgraft.tuning.data.containers.unpacked import TAR_MAGIC, is_packed, is_tar
from netgraft.tuning.data.containers.zipped import Zipped
from netgraft.tuning.data.kinds.folder import read_folders
from netgraft.tuning.data.kinds.kind import Place, Rank
from netgraft.tuning.data.kinds.table import read_tables, tables_in
from netgraft.tuning.data.manifest import Container, Manifest, Options

ZIP = (b"PK\x03\x04", b"PK\x05\x06")
OTHERS = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR"}
"""Archives that are known, but not read."""


class Archive:
    """A file that holds files."""

    name = "archive"
    rank = Rank.FILE

    def accepts(self, place: Place) -> bool:
        if not place.path.is_file():
            return False
        head = _head(place.path)
        return head.startswith((*ZIP, *OTHERS)) or is_packed(head) or is_tar(head)

    def open(self, place: Place, options: Options) -> Manifest:
        tree = tree_of(place.path)
        reference = str(place.path)
        tables = tables_in(tree)
        if tables:
            return read_tables(tree, tables, reference, self.name, options)
        return read_folders(tree, reference, self.name, options)

    def container(self, place: Place) -> Container:
        return tree_of(place.path)


def tree_of(path: Path) -> Tree:
    """The files of an archive. Raises InvalidData, TooLarge and DiskFull."""
    if not path.is_file():
        raise InvalidData(data=str(path), problem=Message("it is no archive."))
    head = _head(path)
    if head.startswith(ZIP):
        return Zipped(path)
    if is_packed(head) or is_tar(head):
        return Tarred(path)
    other = next((name for magic, name in OTHERS.items() if head.startswith(magic)), None)
    problem = Message("it is no archive.")
    if other:
        problem = Message("{form} archives are not read: pack it as zip or tar.", form=other)
    raise InvalidData(data=str(path), problem=problem)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(TAR_MAGIC + 5)


KIND = Archive()
