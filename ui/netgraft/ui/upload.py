"""/upload?name=net.pth: takes a file from the browser and sends it on to the models service.

It rests in a temporary file meanwhile: a browser cannot say a file's hash before it has sent
it, and the service wants to know.
"""

import asyncio
import errno
import shutil
import tempfile
from pathlib import Path

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from netgraft.client import Client
from netgraft.errors import InvalidValue, NetgraftError, TooLarge
from netgraft.errors.disk import full_disk_is_reported
from netgraft.language import Message, Translator
from netgraft.sending import send
from netgraft.settings import settings
from netgraft.ui.guard import session_of
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response
from netgraft.ui.places import Places
from netgraft.v1 import models_pb2

SHORT = 12
"""Digits of an id that people read."""


class Upload:
    """The endpoint."""

    def __init__(self) -> None:
        self._places = Places()

    async def __call__(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        language = language_of(request)
        try:
            if not name:
                raise InvalidValue(
                    name="name", value=Message("empty"), expected=Message("the file's name")
                )
            async with self._places.place(session_of(request)):
                model = await _received(request, name, language)
        except NetgraftError as error:
            return error_response(request, error)
        except ClientDisconnect:
            return Response(status_code=499)
        say = Translator(language)
        sentence = say("show {model}", model=model.id[:SHORT])
        return JSONResponse({"id": model.id, "title": model.title, "say": sentence})


async def _received(request: Request, name: str, language: str) -> models_pb2.Model:
    """The model that a file is. Raises what the rpc UploadFile does, and TooLarge."""
    limit = TooLarge(what=name, limit=f"{settings().file_mib:,} MiB (NETGRAFT_FILE_MIB)")
    announced = int(request.headers.get("content-length", "0"))
    if announced > settings().file_bytes:
        raise limit
    with tempfile.NamedTemporaryFile() as file:
        size = 0
        with full_disk_is_reported(tempfile.gettempdir()):
            _must_have_room(announced)
            async for data in request.stream():
                size += len(data)
                if size > settings().file_bytes:
                    raise limit
                file.write(data)
            file.flush()
        return await asyncio.to_thread(_sent, Path(file.name), name, language)


def _must_have_room(size: int) -> None:
    """Raise OSError where temporary files have no conversation for one more of that size."""
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, "no conversation")


def _sent(file: Path, name: str, language: str) -> models_pb2.Model:
    with Client(language=language) as client:
        return send(client.models, file, name).model
