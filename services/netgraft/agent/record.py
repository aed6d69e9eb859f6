"""The record of a Run, kept under its request_id.

A repeated Run carries no step out twice. One process at a time holds a record and
carries the plan out; a process that asks meanwhile reads what it writes. A holder reports
every few seconds that it lives. When it stops, the next process that asks takes the record
over and goes on.
"""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from netgraft.agent import forms
from netgraft.agent.blocking import in_thread
from netgraft.store.requests import KEPT_SECONDS, Asked, Repeated, claim, known
from netgraft.store.store import Store
from netgraft.store.tables import RequestRow
from netgraft.v1 import agent_pb2

HOLD_SECONDS = 20.0
"""Seconds of silence after which a holder counts as lost."""
BEAT_SECONDS = 4.0


def expire_all(store: Store) -> None:
    """Let every record be taken over at once: for the only server of a store, when it starts.

    A holder that lives after all keeps its record, unless somebody asks first.
    """
    with store.session() as session:
        held = RequestRow.held_until > time.time()
        session.execute(update(RequestRow).where(held).values(held_until=0.0))


class Lost(Exception):
    """Another process took the record over: this one must stop."""


@dataclass(frozen=True)
class Start:
    """The start of a plan: the conversation's turn, and the model and job current there."""

    turn: int = 0
    model_id: str = ""
    job_id: str = ""


@dataclass(frozen=True)
class Found:
    """A record as it stands, and whether the one who asked holds it now."""

    start: Start
    happened: tuple[agent_pb2.RunEvent, ...]
    held: bool


class Record:
    """The record of one Run, for one call of it. Its methods block, except `held`."""

    def __init__(self, store: Store, call: Asked) -> None:
        self.store = store
        self.call = call
        self._name = secrets.token_hex(16)

    def open(self, start: Start, admit: Callable[[Session], None]) -> Found:
        """Make the record and hold it, or read it, and hold it where nobody does.

        `admit` is called inside the transaction that makes the record, and whatever it raises
        undoes that. Raises RequestIdReused.
        """
        try:
            return self._read() or self._make(start, admit)
        except Repeated:  # another call was faster
            found = self._read()
            assert found is not None
            return found

    def began_at(self, start: Start) -> None:
        """Write down where the plan began."""
        with self.store.session() as session:
            self._hold(session, RequestRow.holder == self._name)
            session.get_one(RequestRow, self.call.key).result = json.dumps(asdict(start))

    def _make(self, start: Start, admit: Callable[[Session], None]) -> Found:
        with self.store.session() as session:
            row = claim(session, self.call, json.dumps(asdict(start)))
            admit(session)
            row.holder, row.held_until = self._name, time.time() + HOLD_SECONDS
        return Found(start, (), held=True)

    def _read(self) -> Found | None:
        with self.store.session() as session:
            held = self._hold(session, *_free())
            row = known(session, self.call)
            if row is None:
                return None
            happened = tuple(forms.event_from_json(event) for event in json.loads(row.events))
            return Found(Start(**json.loads(row.result)), happened, held)

    def beat(self) -> bool:
        """Record that the holder lives; False if it no longer holds the record."""
        with self.store.session() as session:
            return self._hold(session, RequestRow.holder == self._name)

    def add(self, event: agent_pb2.RunEvent) -> None:
        """Write down what happened. Raises Lost."""
        with self.store.session() as session:
            if not self._hold(session, RequestRow.holder == self._name):
                raise Lost
            row = session.get_one(RequestRow, self.call.key)
            events = [*json.loads(row.events), forms.event_to_json(event)]
            row.events = json.dumps(events, ensure_ascii=False)

    def leave(self) -> None:
        """Release the record: the next process that asks may go on at once."""
        with self.store.session() as session:
            self._hold(session, RequestRow.holder == self._name, leave=True)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Beat for as long as the block takes, then leave."""
        beating = asyncio.create_task(self._keep_beating())
        try:
            yield
        finally:
            beating.cancel()
            with suppress(asyncio.CancelledError, SQLAlchemyError):
                await beating
            await in_thread(self.leave)

    async def _keep_beating(self) -> None:
        while await in_thread(self.beat):
            await asyncio.sleep(BEAT_SECONDS)

    def _hold(
        self, session: Session, *conditions: ColumnElement[bool], leave: bool = False
    ) -> bool:
        """Hold the record under these conditions (or leave it); True if they were met."""
        rpc, who, identity = self.call.key
        name, until = ("", 0.0) if leave else (self._name, time.time() + HOLD_SECONDS)
        statement = (
            update(RequestRow)
            .where(RequestRow.rpc == rpc, RequestRow.caller == who, RequestRow.id == identity)
            .where(RequestRow.body == self.call.body, *conditions)
            .values(holder=name, held_until=until)
        )
        return bool(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def _free() -> tuple[ColumnElement[bool], ...]:
    """Conditions under which a record has lost its holder, and has not grown too old."""
    now = time.time()
    return RequestRow.held_until < now, RequestRow.created >= now - KEPT_SECONDS


def is_over(happened: Sequence[agent_pb2.RunEvent], steps: int) -> bool:
    """True if the events end a plan of this many steps, successfully or not."""
    finished = {event.finished.index for event in happened if event.HasField("finished")}
    return len(finished) == steps or any(event.HasField("failed") for event in happened)
