"""Who may enter: holders of the token, and browsers with a cookie derived from it.

The cookie holds no secret that would outlive it: an expiry, a random name and an HMAC
of both under the token. Nothing is stored, so a restarted gateway knows its browsers
again, and a changed token ends every session at once.
"""

import hashlib
import hmac
import secrets
import time

from netgraft.settings import settings

LIFETIME = 30 * 24 * 3600
"""Seconds until a browser must show the token again."""

PURPOSE = b"netgraft web session v1"


def cookie_name() -> str:
    """Cookies are shared by all ports of a host, so the port is part of the name."""
    return f"netgraft-session-{settings().web_port}"


def is_token(candidate: str) -> bool:
    """Return whether this is the token; takes the same time for every wrong one."""
    token = settings().read_token()
    return bool(token) and hmac.compare_digest(candidate.encode(), token.encode())


def new_session(now: float | None = None) -> str:
    """A cookie value that `is_session` accepts for LIFETIME seconds."""
    expires = int((time.time() if now is None else now) + LIFETIME)
    body = f"{expires}.{secrets.token_urlsafe(16)}"
    return f"{body}.{_seal(body)}"


def is_session(value: str, now: float | None = None) -> bool:
    """Return whether `new_session` made this value under the present token, and it still holds."""
    body, _, seal = value.rpartition(".")
    expires = body.partition(".")[0]
    if not settings().read_token() or not expires.isascii() or not expires.isdigit():
        return False
    known = hmac.compare_digest(seal.encode(), _seal(body).encode())
    return known and int(expires) > (time.time() if now is None else now)


def _seal(body: str) -> str:
    message = PURPOSE + b"\0" + body.encode()
    return hmac.new(_token_bytes(), message, hashlib.sha256).hexdigest()


def _token_bytes() -> bytes:
    return settings().read_token().encode()
