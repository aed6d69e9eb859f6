"""Calls that may come again (AIP-155): each is carried out once in a day.

A client that hears no answer sends its call again, with the same `request_id`. The id is
stored in the transaction that stores what the call makes, under a unique key: of two calls
at once only one can commit, and a process that dies in between leaves neither.

Knows nothing of what a call does, and protobuf only as something that can be serialised.
"""

import copy
import hashlib
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from netgraft.errors import InvalidValue, RequestIdReused
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.store.tables import RequestRow

KEPT_SECONDS = 24 * 3600
LONGEST_ID = 64


class Repeated(Exception):
    """The same call came before, or was faster."""


@dataclass(frozen=True)
class Asked:
    """A call that has a request_id."""

    rpc: str
    caller: str
    """SHA-256 of the caller's token: ids of other callers do not count."""
    id: str
    body: str
    """SHA-256 of the request without its id."""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.rpc, self.caller, self.id

    def part(self, name: object) -> str:
        """The request_id of a call that this call makes in its turn; the same each time."""
        return _sha256("\0".join((*self.key, str(name))).encode())


def asked(rpc: str, request: Any, token: str, *without: str) -> Asked | None:
    """The identity of a call whose message has a request_id; None where that is empty.

    `without` names the fields in which a repeated call may differ. Raises InvalidValue.
    """
    identity: str = request.request_id
    if not identity:
        return None
    if len(identity) > LONGEST_ID or not identity.isprintable():
        expected = Message("at most {most} printable characters, such as a UUID", most=LONGEST_ID)
        raise InvalidValue(name="request_id", value=repr(identity[:80]), expected=expected)
    body = copy.deepcopy(request)
    for field in ("request_id", *without):
        body.ClearField(field)
    digest = _sha256(body.SerializeToString(deterministic=True))
    return Asked(rpc, _sha256(token.encode()), identity, digest)


class Requests:
    """The calls that a store remembers."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def result(self, call: Asked | None) -> str:
        """The result of the same call before; "" when it never came. Raises RequestIdReused."""
        if call is None:
            return ""
        with self.store.session() as session:
            row = known(session, call)
            return row.result if row else ""

    def bind(self, call: Asked | None) -> None:
        """Let an id stand for this call and no other. Raises RequestIdReused."""
        if call is None:
            return
        try:
            with self.store.session() as session:
                claim(session, call, "")
        except Repeated:
            self.result(call)


def known(session: Session, call: Asked) -> RequestRow | None:
    """The row of a call that came before. Raises RequestIdReused."""
    row = session.get(RequestRow, call.key)
    if row is None or _is_old(row):
        return None
    if row.body != call.body:
        raise RequestIdReused(id=call.id, rpc=call.rpc)
    return row


def claim(session: Session, call: Asked, result: str) -> RequestRow:
    """Store a call with what it makes. Raises Repeated, which must end the transaction.

    The first statement of a transaction that writes: it takes the lock. Where the same call
    is being stored by another transaction, this waits for its end.
    """
    now = time.time()
    old = RequestRow.created < now - KEPT_SECONDS, RequestRow.held_until < now
    session.execute(delete(RequestRow).where(*old))
    row = RequestRow(
        rpc=call.rpc,
        caller=call.caller,
        id=call.id,
        body=call.body,
        created=now,
        result=result,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        raise Repeated from error
    return row


def _is_old(row: RequestRow) -> bool:
    now = time.time()
    return row.created < now - KEPT_SECONDS and row.held_until < now


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
