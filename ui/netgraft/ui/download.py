"""Serve /export/{id}/{format}: stream an exported model as a download."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from netgraft.errors import NetgraftError, NotFound
from netgraft.ui.backend import Backend
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response
from netgraft.v1 import models_pb2

MODEL = re.compile(r"[0-9a-f]{8,64}")
FORMAT = re.compile(r"[a-z0-9_]{1,32}")


class Download:
    """The endpoint. The models service decides which formats exist."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def __call__(self, request: Request) -> Response:
        model, format_ = request.path_params["model"], request.path_params["format"]
        if not MODEL.fullmatch(model) or not FORMAT.fullmatch(format_):
            return error_response(request, NotFound(what=request.url.path))
        client = self.backend.client(language_of(request))
        asked = models_pb2.ExportModelRequest(model=model, format=format_)
        chunks = aiter(client.models.ExportModel(asked))
        try:
            # Awaited before the headers are sent, so that an error can still set the status.
            first = await anext(chunks)
        except NetgraftError as error:
            return error_response(request, error)
        except StopAsyncIteration:
            return error_response(request, NotFound(what=request.url.path))
        return StreamingResponse(
            _bytes(first, chunks),
            media_type="application/octet-stream",
            headers=_headers(first),
        )


def _headers(first: models_pb2.FileChunk) -> dict[str, str]:
    name = first.name.replace("\\", "/").rpartition("/")[2] or "model"
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "cache-control": "private, no-cache",
    }
    if first.size:
        headers["content-length"] = str(first.size)
    return headers


async def _bytes(
    first: models_pb2.FileChunk, rest: AsyncIterator[models_pb2.FileChunk]
) -> AsyncIterator[bytes]:
    if first.data:
        yield first.data
    async for chunk in rest:
        yield chunk.data
