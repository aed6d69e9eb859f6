"""The page that asks for the token."""

from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from netgraft.ui.guard import begin_session
from netgraft.ui.pages import whole_page
from netgraft.ui.session import is_token
from netgraft.ui.words import language_of, words

LONGEST = 4096
"""Bytes of a login form; a token has 43."""


async def login(request: Request) -> Response:
    """GET shows the form, POST checks the token and lets in. Never says which part was wrong."""
    target = safe_target(request.query_params.get("next", "/"))
    if request.method != "POST":
        return _form(request, target)
    token = await _posted_token(request)
    if not is_token(token):
        return _form(request, target, wrong=True)
    return begin_session(request, RedirectResponse(target, 303))


def safe_target(path: str) -> str:
    """A path on this server to go to after the login; "/" for anything else."""
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


def _form(request: Request, target: str, *, wrong: bool = False) -> Response:
    say = words(language_of(request))
    problem = f'<p class="problem" role="alert">{escape(say.login_wrong)}</p>' if wrong else ""
    body = f"""<p>{escape(say.login_hint)} <code>netgraft token</code></p>
{problem}
<form method="post">
<label for="token">{escape(say.login_label)}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<button>{escape(say.login_button)}</button>
</form>"""
    return whole_page(request, say.login_title, body, 403 if wrong else 200)
