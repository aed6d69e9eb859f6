"""Small complete pages, for the login and for errors."""

from html import escape
from string import Template

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from netgraft.client import RemoteError
from netgraft.errors import NetgraftError, TooSlow, UploadsBusy, status_name
from netgraft.language import Translator
from netgraft.ui.messages import language_of

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "FAILED_PRECONDITION": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 507,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 502,  # the gateway's own token was refused, not the browser's session
}
"""gRPC status → HTTP status; any other: 502."""
OF_REASON = {TooSlow.reason: 408, UploadsBusy.reason: 429}
"""Reason → HTTP status, where that is more exact than the gRPC status."""

PAGE = Template("""<!doctype html>
<html lang="$language">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid;
  place-items: center; background: Canvas; color: CanvasText; }
main { max-width: 26rem; padding: 1.5rem; }
h1 { font-size: 1.25rem; margin: 0 0 .75rem; }
input, button { font: inherit; padding: .5rem .75rem; border-radius: .5rem;
  border: 1px solid GrayText; width: 100%; box-sizing: border-box; margin-top: .5rem; }
button { background: #0f766e; border-color: #0f766e; color: white; cursor: pointer; }
:focus-visible { outline: 2px solid #14b8a6; outline-offset: 2px; }
code { white-space: nowrap; }
.problem { color: light-dark(#b91c1c, #fca5a5); }
</style>
<main>
<h1>$title</h1>
$body
</main>
</html>
""")


def whole_page(request: Request, title: str, body: str, status: int = 200) -> Response:
    """Return a complete page in the reader's language. `body` is HTML, `title` plain text."""
    language = language_of(request)
    text = PAGE.substitute(language=language, title=escape(title), body=body)
    return HTMLResponse(text, status)


def wants_page(request: Request) -> bool:
    """Return whether a person reads the answer (in a browser), not a program."""
    return "text/html" in request.headers.get("accept", "")


def error_response(request: Request, error: NetgraftError) -> Response:
    """Return an error's sentence: as a page for people, as JSON with the reason for programs."""
    status = OF_REASON.get(error.reason) or HTTP_STATUS.get(code_of(error), 502)
    response = _sentence(request, error, status)
    if isinstance(error, TooSlow):  # do not wait for the rest of the request
        response.headers["connection"] = "close"
    if isinstance(error, UploadsBusy):
        response.headers["retry-after"] = str(error.values["seconds"])
    return response


def _sentence(request: Request, error: NetgraftError, status: int) -> Response:
    sentence = error.sentence(language_of(request))
    if wants_page(request):
        say = Translator(language_of(request))
        return whole_page(request, say("That did not work"), f"<p>{escape(sentence)}</p>", status)
    return JSONResponse({"reason": error.reason, "message": sentence}, status)


def code_of(error: NetgraftError) -> str:
    """Return the name of the error's gRPC status."""
    return error.code if isinstance(error, RemoteError) else status_name(error)
