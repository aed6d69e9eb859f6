"""Consent to a plan: a token for this plan in one conversation, valid once and for a limited time.

The token is handed out once and stored as its SHA-256 only. Spending it is one
conditional UPDATE, so two runs that race with one token cannot both win.
"""

import hashlib
import secrets
import time
from dataclasses import dataclass

from sqlalchemy import update
from sqlalchemy.orm import Session

from netgraft.agent.forms import fingerprint
from netgraft.agent.steps import Steps
from netgraft.errors import ConsentNeeded
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.store.tables import ConsentRow

LIFETIME = 15 * 60
"""Seconds for which a token can be spent."""


@dataclass(frozen=True)
class Grant:
    """A token and when it expires, in seconds since the epoch."""

    token: str
    expires: float


def grant(store: Store, steps: Steps, conversation_id: str) -> Grant:
    """A new token for exactly these steps in this conversation."""
    token = secrets.token_urlsafe(32)
    given = Grant(token, time.time() + LIFETIME)
    row = ConsentRow(
        token_sha256=_digest(token),
        plan_sha256=fingerprint(steps),
        conversation_id=conversation_id,
        expires=given.expires,
    )
    with store.session() as session:
        session.add(row)
    return given


def spend(session: Session, token: str, steps: Steps, conversation_id: str) -> None:
    """Use a token up. Raises ConsentNeeded unless it fits, is fresh and was not used."""
    if not token:
        raise ConsentNeeded(problem="")
    now = time.time()
    use = (
        update(ConsentRow)
        .where(
            ConsentRow.token_sha256 == _digest(token),
            ConsentRow.plan_sha256 == fingerprint(steps),
            ConsentRow.conversation_id == conversation_id,
            ConsentRow.used.is_(None),
            ConsentRow.expires > now,
        )
        .values(used=now)
    )
    spent = session.execute(use).rowcount  # type: ignore[attr-defined]
    if spent != 1:
        problem = Message("the one given is for another plan, was used, or has expired.")
        raise ConsentNeeded(problem=problem)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
