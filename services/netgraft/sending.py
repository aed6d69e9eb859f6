"""Sending a model's file to a server; a broken upload continues where it stopped.

Knows nothing of torch: a file is bytes here, and the server says what it is.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from netgraft.client import RemoteError
from netgraft.errors import NetgraftError, Unreachable, UploadIncomplete, WrongHash
from netgraft.v1 import models_pb2

if TYPE_CHECKING:
    from netgraft.v1.models_pb2_grpc import ModelsStub

CHUNK = 2**20
TRIES = 4
"""How often a broken upload is continued before its error is raised."""
PAUSE_SECONDS = 0.5

Progress = Callable[[int, int], None]
"""Takes the bytes that the server has received and the size of the file."""


def send(
    models: "ModelsStub", path: Path, name: str = "", progress: Progress = lambda _, __: None
) -> models_pb2.Upload:
    """Send a file unless the server has it; the reply holds the model that it is.

    Raises what the rpc UploadFile raises, and OSError when the file cannot be read.
    """
    name, size = name or path.name, path.stat().st_size
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    request_id = str(uuid.uuid4())  # the same for every attempt
    for is_last in (*[False] * TRIES, True):
        known = models.GetUpload(models_pb2.GetUploadRequest(sha256=sha256, name=name, size=size))
        if known.HasField("model"):
            progress(size, size)
            return known
        header = models_pb2.UploadHeader(
            sha256=sha256,
            name=name,
            size=size,
            offset=known.received_bytes,
            request_id=request_id,
        )
        try:
            return models.UploadFile(_messages(path, header, progress))
        except NetgraftError as error:
            # The bytes that the server had may have been of another file; it has dropped them.
            stale = header.offset > 0 and _is(error, WrongHash)
            if is_last or not (stale or _is(error, Unreachable, UploadIncomplete)):
                raise
            time.sleep(PAUSE_SECONDS)
    raise AssertionError


def _messages(
    path: Path, header: models_pb2.UploadHeader, progress: Progress
) -> Iterator[models_pb2.UploadFileRequest]:
    yield models_pb2.UploadFileRequest(header=header)
    with path.open("rb") as file:
        file.seek(header.offset)
        progress(header.offset, header.size)
        while data := file.read(CHUNK):
            yield models_pb2.UploadFileRequest(data=data)
            progress(file.tell(), header.size)


def _is(error: NetgraftError, *kinds: type[NetgraftError]) -> bool:
    """Return whether an error is of one of these kinds, raised here or sent by a server."""
    kind = error.kind if isinstance(error, RemoteError) else type(error)
    return issubclass(kind, kinds)
