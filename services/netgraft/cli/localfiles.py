"""References to the user's files and folders that the services can open.

A path is relative to the folder that the user is in. A file that the netgraft on this machine may
not read is sent to it, or opened in this process, which has the same state.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.cli.session import Session
from netgraft.cli.terminal.output import print_notices
from netgraft.errors import DataNotFound

if TYPE_CHECKING:
    from netgraft.cli.services import Services
    from netgraft.v1 import models_pb2

DIGITS = "digits"
"""The data set that is not a folder."""
PATHS = ("~", ".")
"""How a data reference begins that can only be a path."""


def model_reference(session: Session, services: "Services", model: str) -> str:
    """Return the reference to send for a model's file: its absolute path, or its model's id.

    Raises what the rpcs ResolveModel and UploadFile raise.
    """
    from netgraft.v1 import models_pb2

    path = Path(model).expanduser()
    if _is_sent(session, path):
        return upload(session, services, path).model.id
    named = str(path.absolute()) if session.reads_local_files and path.exists() else model
    reader = session.services_for(path, services)
    if reader is services:
        return named
    found = reader.models.ResolveModel(models_pb2.ResolveModelRequest(model=named))
    print_notices(found.notices)
    return found.id


def upload(session: Session, services: "Services", file: Path) -> "models_pb2.Upload":
    """Send a file to the services; print the notices of its model."""
    from netgraft.cli.terminal.transfer import transfer_bar
    from netgraft.sending import send

    with transfer_bar(file.name, shown=not session.json) as show:
        done = send(services.models, file, progress=show)
    print_notices(done.model.notices)
    return done


def data_reference(session: Session, data: str) -> str:
    """Return the reference to send for a data set: a local folder as an absolute path."""
    folder = data_folder(session, data)
    return str(folder.resolve()) if folder else data


def data_folder(session: Session, data: str) -> Path | None:
    """Return the folder of this machine that a data reference names; None for any other.

    Raises DataNotFound for a path that does not exist.
    """
    if not session.reads_local_files or data.strip().lower() == DIGITS:
        return None
    path = Path(data).expanduser()
    if path.exists():
        return path
    if session.running and ("/" in data or data.startswith(PATHS)):
        # The server would resolve a relative path in its own folder.
        raise DataNotFound(data=data, roots=", ".join(session.running.roots))
    return None


def _is_sent(session: Session, path: Path) -> bool:
    """Return whether a file must be uploaded because the services cannot read it."""
    if not session.address or not path.is_file():
        return False
    if not session.reads_local_files:
        return True
    if session.running and session.running.reads(path):
        return False
    from netgraft.models.untrusted.roots import is_inside
    from netgraft.settings import settings

    return is_inside(path.resolve(), settings().roots)
