"""Sessions: the token admits its holder, and so does a cookie that is signed with it.

The cookie consists of an expiry, a random text and an HMAC of both with the token as key.
The gateway stores no sessions, so they survive its restart, and a changed token ends all of
them at once.
"""

import hashlib
import hmac
import secrets
import time

from netgraft.settings import settings

LIFETIME = 30 * 24 * 3600
"""Seconds until a browser must sign in again."""

PURPOSE = b"netgraft web session v1"


def cookie_name() -> str:
    """Return the cookie's name, with the port in it: a host's ports share their cookies."""
    return f"netgraft-session-{settings().web_port}"


def is_token(candidate: str) -> bool:
    """Return whether this is the token, in a time that does not depend on the difference."""
    token = settings().read_token()
    return bool(token) and hmac.compare_digest(candidate.encode(), token.encode())


def new_session(now: float | None = None) -> str:
    """Return a cookie value that `is_session` accepts for LIFETIME seconds."""
    expires = int((time.time() if now is None else now) + LIFETIME)
    body = f"{expires}.{secrets.token_urlsafe(16)}"
    return f"{body}.{_signature(body)}"


def is_session(value: str, now: float | None = None) -> bool:
    """Return whether `new_session` made this value with the current token and it is still valid."""
    body, _, signature = value.rpartition(".")
    expires = body.partition(".")[0]
    if not settings().read_token() or not expires.isascii() or not expires.isdigit():
        return False
    known = hmac.compare_digest(signature.encode(), _signature(body).encode())
    return known and int(expires) > (time.time() if now is None else now)


def _signature(body: str) -> str:
    message = PURPOSE + b"\0" + body.encode()
    return hmac.new(_token_bytes(), message, hashlib.sha256).hexdigest()


def _token_bytes() -> bytes:
    return settings().read_token().encode()
