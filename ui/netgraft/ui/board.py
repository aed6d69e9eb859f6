"""Serve /tensorboard/…: relay a browser's requests to TensorBoard, by way of the tuning service."""

import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from netgraft.errors import NetgraftError, NotFound
from netgraft.ui.backend import Backend
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response
from netgraft.v1 import tuning_pb2

PREFIX = "/tensorboard/"
PATH = re.compile(r"(?:[\w@+-][\w@+.-]*(?:/[\w@+-][\w@+.-]*)*)?/?", re.ASCII)
"""Names joined by slashes, none of them beginning with a dot."""
LONGEST = 400
LONGEST_QUERY = 16_000
LARGEST_BODY = 2**20

POLICY = "; ".join(
    [
        "default-src 'self'",
        # Its page has inline scripts, and its graphs compile theirs.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline' data:",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)


class Board:
    """/tensorboard/{path}. Knows the form of a valid path, and nothing of TensorBoard."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    async def redirect(self, request: Request) -> Response:
        """Redirect to the address with a final slash, which the page's relative links need."""
        return RedirectResponse(PREFIX, 308)

    async def font(self, request: Request) -> Response:
        """Redirect to a font, which the page's style sheet looks for at the root."""
        return RedirectResponse(f"{PREFIX}font-roboto/{request.path_params['file']}", 308)

    async def __call__(self, request: Request) -> Response:
        path, query = request.path_params["path"], request.url.query
        if len(path) > LONGEST or not PATH.fullmatch(path) or len(query) > LONGEST_QUERY:
            return error_response(request, NotFound(what=request.url.path))
        body = await _body(request)
        if body is None:
            return Response("Too large.\n", 413)
        asked = tuning_pb2.AskTensorBoardRequest(
            method=request.method,
            path=path,
            query=query,
            body=body,
            content_type=request.headers.get("content-type", ""),
        )
        client = self.backend.client(language_of(request))
        try:
            reply = await client.tuning.AskTensorBoard(asked)
        except NetgraftError as error:
            return error_response(request, error)
        return Response(reply.body, reply.status, headers=_headers(reply))


async def _body(request: Request) -> bytes | None:
    """The request's body; None where it is too large."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LARGEST_BODY:
            return None
    return body


def _headers(reply: tuning_pb2.AskTensorBoardReply) -> dict[str, str]:
    known = {
        "content-type": reply.content_type,
        "content-encoding": reply.content_encoding,
        "cache-control": reply.cache_control,
        "content-security-policy": POLICY,
    }
    return {name: value for name, value in known.items() if value}
