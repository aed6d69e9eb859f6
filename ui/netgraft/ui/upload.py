"""Serve /upload?name=net.pth: receive a file from the browser and send it to the models service.

In between, the file is a temporary one: the service needs its SHA-256 before its bytes, and a
browser does not compute it.
"""

import asyncio
import errno
import os
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
from netgraft.ui.slots import Slots
from netgraft.v1 import models_pb2

SHORT = 12
"""Digits of an id that people read."""


class Upload:
    """The endpoint."""

    def __init__(self) -> None:
        self._slots = Slots()

    async def __call__(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        language = language_of(request)
        try:
            if not name:
                raise InvalidValue(
                    name="name", value=Message("empty"), expected=Message("the file's name")
                )
            async with self._slots.slot(session_of(request)):
                model = await _received(request, name, language)
        except NetgraftError as error:
            return error_response(request, error)
        except ClientDisconnect:
            return Response(status_code=499)
        say = Translator(language)
        sentence = say("show {model}", model=model.id[:SHORT])
        return JSONResponse({"id": model.id, "title": model.title, "say": sentence})


async def _received(request: Request, name: str, language: str) -> models_pb2.Model:
    """Receive a file and return its model. Raises the errors of UploadFile, and TooLarge."""
    limit = TooLarge(what=name, limit=f"{settings().file_mib:,} MiB (NETGRAFT_FILE_MIB)")
    announced = int(request.headers.get("content-length", "0"))
    if announced > settings().file_bytes:
        raise limit
    with tempfile.NamedTemporaryFile() as file:
        size = 0
        with full_disk_is_reported(tempfile.gettempdir()):
            _check_free_space(announced)
            async for data in request.stream():
                size += len(data)
                if size > settings().file_bytes:
                    raise limit
                file.write(data)
            file.flush()
        return await asyncio.to_thread(_sent, Path(file.name), name, language)


def _check_free_space(size: int) -> None:
    """Raise OSError if the folder of temporary files has fewer than `size` free bytes."""
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _sent(file: Path, name: str, language: str) -> models_pb2.Model:
    with Client(language=language) as client:
        return send(client.models, file, name).model
