"""Pictures of this machine, for a server: by their path where it can read them, else as bytes.

Knows nothing of what is asked about them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.cli.session import Session
from netgraft.errors import PictureNotFound
from netgraft.language import Message, quoted

if TYPE_CHECKING:
    from netgraft.v1 import tuning_pb2

SENT_BYTES = 6 * 2**20
"""Bytes of pictures in one call to a server; a message may have 8 MiB."""
SENT_SIDE = 1024
"""Short side in pixels of pictures that are made smaller to be sent: more than models see."""
KEPT_BYTES = 2**28
"""The same where this process answers."""


@dataclass
class Question:
    """The pictures of one call: by path, or by their bytes; or one that cannot be sent."""

    paths: dict[str, str] = field(default_factory=dict)
    """What the user typed, by the path for the server."""
    pictures: list[tuple[str, bytes]] = field(default_factory=list)
    error: tuple[str, Message] | None = None
    """A picture's name, and a sentence that says why it cannot be sent."""

    def name(self, answered: str) -> str:
        """Return the name of a picture as the user typed it, from that of a reply."""
        for path, typed in self.paths.items():
            if answered == path or answered.startswith(f"{path}/"):
                return typed.rstrip("/") + answered.removeprefix(path)
        return answered

    def renamed(self, reply: "tuning_pb2.PredictReply") -> "tuning_pb2.PredictReply":
        """Return a reply that names its picture as the user typed it."""
        typed = self.name(reply.name)
        reply.error = reply.error.replace(reply.name, typed)
        reply.name = typed
        return reply

    def takes(self, other: "Question", most: int) -> bool:
        """Take what another one asks about, if that fits into the same call; keep the order."""
        if other.error or (other.paths and self.pictures):
            return False
        if sum(len(data) for _, data in self.pictures + other.pictures) > most:
            return False
        self.paths |= other.paths
        self.pictures += other.pictures
        return True


def questions(session: Session, places: Sequence[str]) -> Iterator[Question]:
    """Yield calls that ask about all pictures in files and folders, in their order."""
    most = SENT_BYTES if session.address else KEPT_BYTES
    waiting: Question | None = None
    for place in places:
        for each in _about(session, place, most):
            if waiting and not waiting.error and waiting.takes(each, most):
                continue
            if waiting:
                yield waiting
            waiting = each
    if waiting:
        yield waiting


def _about(session: Session, place: str, most: int) -> Iterator[Question]:
    path = Path(place).expanduser()
    if not path.exists():
        if session.reads_local_files:
            missing = PictureNotFound(data=place, roots=Path.cwd())
            yield Question(error=(place, missing.message))
        else:  # a path of the server's machine
            yield Question({place: place})
    elif _reads(session, path):
        yield Question({str(path.resolve()): place})
    elif path.is_dir():
        yield from _folder(path, place, most)
    else:
        yield _file(path, place, most)


def _reads(session: Session, path: Path) -> bool:
    """Return whether the services read a file or folder by its path."""
    if session.running is not None:
        return session.running.reads(path)
    if session.address:
        return False
    from netgraft.models.untrusted.roots import is_inside
    from netgraft.settings import settings

    return is_inside(path.resolve(), settings().roots)


def _folder(path: Path, typed: str, most: int) -> Iterator[Question]:
    from netgraft.tuning.data.containers.folder import Folder
    from netgraft.tuning.data.kinds.endings import is_picture

    root = path.resolve()
    folder = Folder(root, (root,))
    names = [name for name in folder.listing().files if is_picture(name, folder.head)]
    if not names:
        nothing = PictureNotFound(data=f"{typed.rstrip('/')}/*", roots=typed)
        yield Question(error=(typed, nothing.message))
    for name in names:
        yield _file(root / name, f"{typed.rstrip('/')}/{name}", most)


def _reduced(path: Path, most: int) -> bytes | None:
    """A large picture with a short side of SENT_SIDE pixels; None where it cannot be made so."""
    if find_spec("PIL") is None:  # netgraft was installed without the services
        return None
    from netgraft.tuning.data.containers.folder import Folder
    from netgraft.tuning.data.pixels import fetched

    folder, name = path.resolve().parent, path.resolve().name
    decoded, _ = fetched(Folder(folder, (folder,)), name, SENT_SIDE)
    if decoded.picture is None:
        return None
    made = BytesIO()
    decoded.picture.save(made, "PNG", compress_level=1)
    return made.getvalue() if made.tell() <= most else None


def _file(path: Path, typed: str, most: int) -> Question:
    try:
        if path.stat().st_size <= most:
            return Question(pictures=[(typed, path.read_bytes())])
        if small := _reduced(path, most):
            return Question(pictures=[(typed, small)])
    except OSError as error:
        problem = Message("{path}: {report}.", path=typed, report=quoted(error.strerror or error))
        return Question(error=(typed, problem))
    problem = Message(
        "{path} has more than {limit} and cannot be sent to the server. Make it smaller, or put it "
        "below the server's data roots.",
        path=typed,
        limit=f"{most // 2**20} MiB",
    )
    return Question(error=(typed, problem))
