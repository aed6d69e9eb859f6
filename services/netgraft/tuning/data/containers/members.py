"""The members of an archive: which are refused, and how they are listed."""

import posixpath
import re
from typing import Generic, TypeVar

from netgraft.errors import InvalidData
from netgraft.language import Message
from netgraft.settings import settings
from netgraft.tuning.data.containers.junk import is_junk_file, is_junk_folder
from netgraft.tuning.data.containers.tree import Listing

Entry = TypeVar("Entry")
DRIVE = re.compile(r"^[A-Za-z]:")
MOST_MEMBERS = 2_000_000


class Members(Generic[Entry]):
    """The files of an archive by their names, gathered one by one."""

    def __init__(self, archive: str) -> None:
        self.archive = archive
        self.files: dict[str, Entry] = {}
        self.folders: set[str] = set()
        self._passed_over = 0
        self._bytes = 0

    def add_file(self, member: str, size: int, entry: Entry) -> None:
        """Take in a file. Raises InvalidData where its path leads out, or all is too large."""
        name = self._safe(member)
        folder, _, last = name.rpartition("/")
        self._bytes += size
        if self._bytes > settings().archive_bytes or len(self.files) >= MOST_MEMBERS:
            raise too_large(self.archive)
        if is_junk_file(last) or any(map(is_junk_folder, filter(None, folder.split("/")))):
            self._passed_over += 1
            return
        self._passed_over += name in self.files  # the last of a name holds
        self.files[name] = entry
        self._add_above(folder)

    def add_folder(self, member: str) -> None:
        """Take in a folder. Raises InvalidData where its path leads out."""
        name = self._safe(member)
        if not any(map(is_junk_folder, filter(None, name.split("/")))):
            self._add_above(name)

    def refused(self, member: str, problem: Message) -> InvalidData:
        """The error for a member that is not read, which names it."""
        sentence = Message("its member {member}: {problem}", member=member, problem=problem)
        return InvalidData(data=self.archive, problem=sentence)

    def listing(self) -> Listing:
        return Listing(tuple(sorted(self.files)), tuple(sorted(self.folders)), self._passed_over)

    def has(self, name: str) -> bool:
        return name in self.files

    def files_in(self, folder: str) -> list[str]:
        return sorted(name for name in self.files if name.rpartition("/")[0] == folder)

    def folders_in(self, folder: str) -> list[str]:
        pairs = (name.rpartition("/") for name in self.folders)
        return sorted(last for above, _, last in pairs if above == folder)

    def relative(self, path: str) -> str:
        return path

    def absolute(self, name: str) -> str:
        """The path of a member within its archive."""
        return name

    def _add_above(self, folder: str) -> None:
        while folder and folder not in self.folders:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]

    def _safe(self, member: str) -> str:
        """The plain path of a member. Raises InvalidData for one that leads out."""
        path = member.replace("\\", "/") if "/" not in member else member
        if path.startswith("/") or DRIVE.match(path) or ".." in path.split("/") or "\0" in path:
            raise self.refused(member, Message("its path leads out of the archive."))
        name = posixpath.normpath(path)
        return "" if name == "." else name


def too_large(archive: str) -> InvalidData:
    """The error for an archive that unpacks to more than the settings allow."""
    problem = Message(
        "unpacked, it is larger than {limit:,} MiB. Unpack it yourself, or allow more with "
        "NETGRAFT_ARCHIVE_MIB where the server starts.",
        limit=settings().archive_mib,
    )
    return InvalidData(data=archive, problem=problem)


def damaged(archive: str) -> InvalidData:
    """The error for an archive that cannot be read."""
    return InvalidData(data=archive, problem=Message("its archive is damaged, or was cut short."))
