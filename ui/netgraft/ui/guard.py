"""ASGI middleware that checks every request before the application sees it.

It checks in this order: the Host header (a page that rebinds its name to 127.0.0.1 sends
its own name), the Origin header (another port of this host is "same site" to a cookie, but
not the same origin), the session, and whether the path belongs to a part of Gradio that
netgraft does not use. The body must then arrive within the time limits of `body`.
Only /healthz and /login answer without a session.
"""

import ipaddress
from collections.abc import MutableMapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netgraft import codes
from netgraft.errors import TooSlow, Unauthenticated
from netgraft.settings import settings
from netgraft.ui.body import timely
from netgraft.ui.messages import language_of
from netgraft.ui.pages import error_response, wants_page, whole_page
from netgraft.ui.session import LIFETIME, cookie_name, is_session, is_token, new_session

HEALTH = "/healthz"
LOGIN = "/login"

PAGE_POLICY = "; ".join(
    [
        "default-src 'self'",
        # Gradio's page has inline scripts, and its charts compile expressions.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    ]
)

HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""Headers of every response that does not set them itself."""

CLOSED = (
    "/gradio_api/file",  # "/file=…" and "/file/…": no file is ever served from the disk
    "/gradio_api/upload",
    "/gradio_api/proxy=",
    "/gradio_api/stream",
    "/gradio_api/process_recording",
    "/gradio_api/deep_link",
    "/gradio_api/run-history",
    "/gradio_api/runs",
    "/gradio_api/custom_component",
    "/gradio_api/component_server",
    "/gradio_api/call/",
    "/gradio_api/dev",
    "/gradio_api/profiling",
    "/monitoring",
)
"""Gradio's routes that the page does not use; they answer 404."""

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Guard:
    """The middleware. See the module."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # nothing here uses it
        else:
            request = Request(scope, receive)
            send = _with_headers(send)
            try:
                await (refuse(request) or self.app)(scope, timely(receive), send)
            except TooSlow as error:
                await error_response(request, error)(scope, receive, send)


def refuse(request: Request) -> Response | None:
    """Return the response that refuses a request, or None if the request is allowed."""
    if request.url.path == HEALTH:
        return None
    if not is_known_host(request.headers.get("host", "")):
        return PlainTextResponse("This name is not one of this server's.\n", 421)
    if not is_own_origin(request):
        return PlainTextResponse("Requests from other origins are refused.\n", 403)
    if request.url.path == LOGIN:
        return None
    return _check_session(request)


def _check_session(request: Request) -> Response | None:
    if request.method == "GET" and is_token(request.query_params.get("token", "")):
        return begin_session(request, _to_clean_address(request))  # a program; people get a code
    if request.method == "GET" and (code := request.query_params.get("code", "")):
        return _check_code(request, code)
    if not is_known_caller(request):
        return _turn_away(request)
    if request.url.path.startswith(CLOSED):
        return PlainTextResponse("Not found.\n", 404)
    return None


def is_known_host(host: str) -> bool:
    """Return whether a Host header names this server: loopback, its address or a configured name.

    When the server is bound to all interfaces, every IP address is accepted too: DNS rebinding
    needs a name.
    """
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in LOOPBACK or name in {settings().host, *settings().web_names}:
        return True
    return settings().host in {"0.0.0.0", "::"} and _is_address(name)  # noqa: S104


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_own_origin(request: Request) -> bool:
    """Return whether the request comes from our own pages, or from no page at all."""
    origin = request.headers.get("origin")
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc == request.headers.get("host", "")
    except ValueError:  # no browser sends such a header
        return False


def is_known_caller(request: Request) -> bool:
    """Return whether the request has a session cookie, or the token as a bearer header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and is_token(token.strip()):
        return True
    return is_session(session_of(request))


def session_of(request: Request) -> str:
    """Return the session's cookie, by which uploads are counted; "" with a bearer header."""
    return request.cookies.get(cookie_name(), "")


def begin_session(request: Request, response: Response) -> Response:
    """Put a new session's cookie on a response."""
    response.set_cookie(
        cookie_name(),
        new_session(),
        max_age=LIFETIME,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
        path="/",
    )
    return response


def _check_code(request: Request, code: str) -> Response:
    if codes.spend(code):
        return begin_session(request, _to_clean_address(request))
    if is_known_caller(request):  # a used link, opened again in the browser that it signed in
        return _to_clean_address(request)
    return _turn_away(request, by_old_link=True)


def _to_clean_address(request: Request) -> Response:
    query = request.query_params.multi_items()
    rest = [(name, value) for name, value in query if name not in {"token", "code"}]
    # A path that begins with two slashes would be read as another host.
    path = "/" + quote(request.url.path.lstrip("/"))
    target = path + (f"?{urlencode(rest)}" if rest else "")
    return RedirectResponse(target, 303)


def _turn_away(request: Request, *, by_old_link: bool = False) -> Response:
    error = Unauthenticated()
    if request.method not in {"GET", "HEAD"} or not wants_page(request):
        message = error.sentence(language_of(request))
        return JSONResponse(
            {"reason": error.reason, "message": message},
            401,
            headers={"www-authenticate": 'Bearer realm="netgraft"'},
        )
    came_from_elsewhere = (
        request.headers.get("sec-fetch-site") == "cross-site"
        and request.headers.get("sec-fetch-dest") == "document"
        and request.url.path == "/"
        and not by_old_link
    )
    if came_from_elsewhere:
        # After a click on another site the browser does not send a strict cookie. It does
        # when our own page then loads the address again.
        again = '<meta http-equiv="refresh" content="0;url=/">'
        return whole_page(request, "netgraft", again)
    path = request.url.path
    query = {"next": path} if path != "/" else {}
    if by_old_link:
        query["link"] = "old"
    return RedirectResponse(LOGIN + (f"?{urlencode(query)}" if query else ""), 303)


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            _add_headers(message)
        await send(message)

    return sending


def _add_headers(message: MutableMapping[str, Any]) -> None:
    headers = MutableHeaders(scope=message)
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
