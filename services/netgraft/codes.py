"""Codes that log a browser in once: links to the page carry them instead of the token.

A code is an expiry, a random name and an HMAC of both under the token, so every process that
has the token can make one and the gateway can check it. A file named after a used code is
kept until the code would have expired, so that a restarted gateway refuses it too.
"""

import base64
import hmac
import os
import secrets
import time
from pathlib import Path

from netgraft.private import make_folder
from netgraft.settings import settings

LIFETIME = 600
"""Seconds in which a code must be used."""
PURPOSE = b"netgraft login code v1"
FOLDER = "codes"
"""In the state folder: a file for each code that was used and has not expired."""


def link(web: str, path: str = "/") -> str:
    """Return the address of a page of the gateway at `web` that logs a browser in, once."""
    return f"{web}{path}{'&' if '?' in path else '?'}code={new_code()}"


def new_code(now: float | None = None) -> str:
    """Return a code that `spend` accepts once within LIFETIME seconds."""
    settings().make_token()
    body = f"{int(_time(now)) + LIFETIME}.{secrets.token_urlsafe(9)}"
    return f"{body}.{_signature(body)}"


def spend(code: str, now: float | None = None) -> bool:
    """Use a code up. Return whether `new_code` made it with the current token and it holds.

    Raises OSError when its use cannot be recorded.
    """
    body, _, signature = code.rpartition(".")
    is_ours = hmac.compare_digest(signature.encode(), _signature(body).encode())
    if not settings().read_token() or not is_ours or _expiry(body) <= _time(now):
        return False
    used = make_folder(settings().folder / FOLDER)
    _forget_expired(used, _time(now))
    try:
        os.close(os.open(used / body, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def _time(now: float | None) -> float:
    return time.time() if now is None else now


def _expiry(body: str) -> int:
    return int(body.partition(".")[0])


def _signature(body: str) -> str:
    message = PURPOSE + b"\0" + body.encode()
    signature = hmac.digest(settings().read_token().encode(), message, "sha256")
    return base64.urlsafe_b64encode(signature[:18]).decode()


def _forget_expired(used: Path, now: float) -> None:
    for file in used.iterdir():
        if file.name[:1].isdecimal() and _expiry(file.name) <= now:
            file.unlink(missing_ok=True)
