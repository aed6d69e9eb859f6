"""Serve /viz/…: relay the files of Netron's pages and the compare page from the graph service."""

import hashlib
import re

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from netgraft.errors import NetgraftError, NotFound
from netgraft.ui.backend import Backend
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response
from netgraft.v1 import graph_pb2

MODEL = re.compile(r"[0-9a-f]{64}")
STATIC = "static"
"""Replaces the model id in the addresses of files that all pages share."""
PATH = re.compile(r"(?:[\w@+-][\w@+.-]*(?:/[\w@+-][\w@+.-]*)*)?", re.ASCII)
"""Names joined by slashes, none of them beginning with a dot."""
LONGEST = 200
LONGEST_QUERY = 8000
MOST_CACHED = 64
"""Shared files that are cached here, because the graph service may be busy drawing the model."""

IMMUTABLE = "private, max-age=31536000, immutable"
REVALIDATE = "private, no-cache"

VIEWER_POLICY = "; ".join(
    [
        "default-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # the page sets its styles by script
        "img-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'self'",
    ]
)


class Viewer:
    """/viz/{model}/{path} and /viz/compare/{a}/{b}/{path}.

    Knows the form of a valid path, and nothing of Netron.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._cached: dict[str, graph_pb2.ViewerFile] = {}

    async def redirect(self, request: Request) -> Response:
        """Redirect to the address with a final slash, which the page's relative links need."""
        models = list(request.path_params.values())
        if not all(map(MODEL.fullmatch, models)):
            return _not_found(request)
        prefix = "/viz/compare" if len(models) == 2 else "/viz"
        return RedirectResponse("/".join([prefix, *models, ""]), 308)

    async def file(self, request: Request) -> Response:
        model, path = request.path_params["model"], request.path_params["path"]
        if model != STATIC and not MODEL.fullmatch(model):
            return _not_found(request)
        query = request.url.query[:LONGEST_QUERY] if path else ""
        asked = graph_pb2.GetViewerFileRequest(model_id=model, path=path, query=query)
        return await self._relay(request, asked)

    async def comparison(self, request: Request) -> Response:
        a, b, path = (request.path_params[name] for name in ("a", "b", "path"))
        if not (MODEL.fullmatch(a) and MODEL.fullmatch(b)):
            return _not_found(request)
        asked = graph_pb2.GetViewerFileRequest(model_id=a, other_id=b, path=path)
        return await self._relay(request, asked)

    async def _relay(self, request: Request, asked: graph_pb2.GetViewerFileRequest) -> Response:
        if len(asked.path) > LONGEST or not PATH.fullmatch(asked.path):
            return _not_found(request)
        client = self.backend.client(language_of(request))
        key = asked.path if asked.model_id == STATIC else ""
        try:
            file = self._cached.get(key) or await client.graphs.GetViewerFile(asked)
        except NetgraftError as error:
            return error_response(request, error)
        if key and file.immutable and len(self._cached) < MOST_CACHED:
            self._cached[key] = file
        return _answer(request, file)


def _answer(request: Request, file: graph_pb2.ViewerFile) -> Response:
    tag = f'"{hashlib.sha256(file.data).hexdigest()[:32]}"'
    headers = {
        "etag": tag,
        "cache-control": IMMUTABLE if file.immutable else REVALIDATE,
        "content-security-policy": VIEWER_POLICY,
    }
    known = [part.strip() for part in request.headers.get("if-none-match", "").split(",")]
    if tag in known or f"W/{tag}" in known:
        return Response(status_code=304, headers=headers)
    return Response(file.data, headers=headers, media_type=file.content_type)


def _not_found(request: Request) -> Response:
    return error_response(request, NotFound(what=request.url.path))
