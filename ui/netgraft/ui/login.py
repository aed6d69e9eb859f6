"""The login page, which asks for the token."""

import re
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from netgraft.language import Translator
from netgraft.ui.guard import begin_session
from netgraft.ui.messages import language_of
from netgraft.ui.pages import whole_page
from netgraft.ui.session import is_token

COMMAND = re.compile("`([^`]+)`")
LONGEST = 4096
"""Bytes that a login form may have; a token has 43."""


async def login(request: Request) -> Response:
    """Show the form (GET), or check the token and begin a session (POST)."""
    say = Translator(language_of(request))
    target = safe_target(request.query_params.get("next", "/"))
    if request.method != "POST":
        is_old = request.query_params.get("link") == "old"
        old = say("This link was used already, or is older than ten minutes.")
        return _form(request, say, old if is_old else "")
    token = await _posted_token(request)
    if not is_token(token):
        return _form(request, say, say("That is not the token."), status=403)
    return begin_session(request, RedirectResponse(target, 303))


def safe_target(path: str) -> str:
    """Return the path to go to after the login if it is on this server; else "/"."""
    is_local = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_local and path.isprintable() else "/"


async def _posted_token(request: Request) -> str:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST:
            return ""
    fields = parse_qs(body.decode("latin-1"))
    return fields.get("token", [""])[0].strip()


def _form(request: Request, say: Translator, problem: str, status: int = 200) -> Response:
    shown = f'<p class="problem" role="alert">{_with_code(problem)}</p>' if problem else ""
    hint = say(
        "Run `netgraft token --link` for a new link, or give the token that `netgraft token` "
        "prints."
    )
    body = f"""{shown}
<p>{_with_code(hint)}</p>
<form method="post">
<label for="token">{escape(say("Token"))}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>{escape(say("Sign in"))}</button>
</form>"""
    return whole_page(request, "netgraft", body, status)


def _with_code(text: str) -> str:
    """Return a sentence as HTML, with its commands as code."""
    return COMMAND.sub(r"<code>\1</code>", escape(text))
