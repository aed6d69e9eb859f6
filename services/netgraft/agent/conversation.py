"""Conversations as they are stored: what was said, what it became, what is current."""

import json
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from netgraft.agent import forms
from netgraft.agent.forms import Json
from netgraft.agent.planner import Context, Planner, Question
from netgraft.agent.rules.text import language_of, normalise
from netgraft.agent.steps import Steps
from netgraft.errors import InvalidRequest, InvalidValue
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.store.tables import ConversationRow, JobRow, TurnRow
from netgraft.v1 import agent_pb2

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
REMEMBERED = 8
"""Number of turns in which the last plan is sought."""
TRIES = 5


@dataclass(frozen=True)
class StoredTurn:
    """One exchange: what was said, the reply and the events in the contract's JSON."""

    position: int
    text: str
    reply: Json
    events: tuple[Json, ...]
    created: float
    language: str | None = None
    """The language that was spoken; None in a turn that an older version stored."""
    question: Question | None = None
    """The planner's record of its question, while that is open."""


class Conversations:
    """Reads and writes conversations through the store. An empty id is no conversation."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def current(self, conversation_id: str) -> tuple[str, str]:
        """The current model and job ids; "" where there is none.

        A job that succeeded while nobody watched hands its model over here.
        """
        if not conversation_id:
            return "", ""
        with self.store.session() as session:
            row = session.get(ConversationRow, conversation_id)
            if row is None:
                return "", ""
            job = session.get(JobRow, row.job_id) if row.job_id else None
            if job and job.result_model and (job.ended or 0) > row.updated:
                row.model_id = job.result_model
                row.updated = time.time()
            return row.model_id or "", row.job_id or ""

    def set_current(self, conversation_id: str, *, model_id: str = "", job_id: str = "") -> None:
        """Make a model or a job the current one."""
        if not conversation_id:
            return
        with self.store.session() as session:
            row = self._row(session, conversation_id)
            row.model_id = model_id or row.model_id
            row.job_id = job_id or row.job_id
            row.updated = time.time()

    def turns(self, conversation_id: str, last: int | None = None) -> list[StoredTurn]:
        """All turns, oldest first; only the newest `last` of them if given."""
        query = select(TurnRow).where(TurnRow.conversation_id == conversation_id)
        query = query.order_by(TurnRow.position.desc()).limit(last)
        with Session(self.store.engine) as session:
            rows = list(session.scalars(query))
        return [_stored(row) for row in reversed(rows)]

    def notices(self, conversation_id: str) -> set[str]:
        """The notices shown before: all lines of summaries except the first."""
        events = (event for turn in self.turns(conversation_id) for event in turn.events)
        summaries = (event.get("finished", {}).get("summary", "") for event in events)
        return {line for summary in summaries for line in summary.split("\n")[1:]}

    def say(self, conversation_id: str, text: str, reply: Json, context: Context) -> int:
        """Append a turn with what the planner needs to go on; returns its position."""
        for _ in range(TRIES):
            try:
                return self._append(conversation_id, text, reply, context)
            except IntegrityError:  # another process took the position
                continue
        return self._append(conversation_id, text, reply, context)

    def _append(self, conversation_id: str, text: str, reply: Json, context: Context) -> int:
        with self.store.session() as session:
            conversation = self._row(session, conversation_id)
            highest = select(func.max(TurnRow.position)).where(
                TurnRow.conversation_id == conversation_id
            )
            position = (session.scalar(highest) or 0) + 1
            conversation.question_turn = position if context.question else None
            session.add(
                TurnRow(
                    conversation_id=conversation_id,
                    position=position,
                    text=text,
                    reply=json.dumps(reply, ensure_ascii=False),
                    events="[]",
                    created=time.time(),
                    language=context.language,
                    question=_dumped(context.question),
                )
            )
        return position

    def happened(self, conversation_id: str, position: int, event: Json) -> None:
        """Append an event to a turn."""
        query = select(TurnRow).where(
            TurnRow.conversation_id == conversation_id, TurnRow.position == position
        )
        with self.store.session() as session:
            row = session.scalars(query).one()
            row.events = json.dumps([*json.loads(row.events), event], ensure_ascii=False)

    def turn_of(self, conversation_id: str, steps: Sequence[Json]) -> int:
        """Position of the turn whose plan is being run; a new one if no turn holds the plan."""
        last = self.turns(conversation_id, last=1)
        if last and last[0].reply.get("steps") == list(steps) and not last[0].events:
            return last[0].position
        language = (last[0].language if last else None) or Context().language
        reply = {"kind": "plan", "steps": list(steps)}
        return self.say(conversation_id, "", reply, Context(language=language))

    def context(self, conversation_id: str, planner: Planner) -> Context:
        """The planner's context from the earlier turns."""
        turns = self.turns(conversation_id, last=REMEMBERED) if conversation_id else []
        if not turns:
            return Context()
        newest = turns[-1]
        if newest.language is None:
            return _replayed(turns, planner)
        plans = (turn.reply for turn in reversed(turns) if turn.reply.get("kind") == "plan")
        return Context(_steps(next(plans, {})), newest.question, newest.language)

    def _row(self, session: Session, conversation_id: str) -> ConversationRow:
        row = session.get(ConversationRow, conversation_id)
        if row is None:
            now = time.time()
            row = ConversationRow(id=conversation_id, created=now, updated=now)
            session.add(row)
            session.flush()
        return row


def valid_id(conversation_id: str) -> str:
    """The id if it is valid or empty. Raises InvalidValue."""
    if conversation_id and not _ID.fullmatch(conversation_id):
        expected = Message('1 to 64 letters, digits, "-" and "_"')
        raise InvalidValue(
            name="conversation_id", value=repr(conversation_id[:80]), expected=expected
        )
    return conversation_id


def message(conversation_id: str, store: Conversations) -> agent_pb2.Conversation:
    """A conversation as a message; an unknown id is an empty conversation."""
    model_id, job_id = store.current(conversation_id)
    reply = agent_pb2.Conversation(id=conversation_id, model_id=model_id, job_id=job_id)
    for stored in store.turns(conversation_id):
        turn = reply.turns.add(text=stored.text)
        turn.reply.CopyFrom(forms.stored_reply(stored.reply))
        turn.events.extend(forms.event_from_json(event) for event in stored.events)
        turn.time.FromNanoseconds(int(stored.created * 1e9))
    return reply


def _stored(row: TurnRow) -> StoredTurn:
    return StoredTurn(
        row.position,
        row.text,
        json.loads(row.reply),
        tuple(json.loads(row.events)),
        row.created,
        row.language,
        _loaded(row.question),
    )


def _dumped(question: Question | None) -> str | None:
    return None if question is None else json.dumps(question, ensure_ascii=False)


def _loaded(stored: str | None) -> Question | None:
    """A stored question; None if there is none or it cannot be read."""
    try:
        question = json.loads(stored or "null")
    except ValueError:
        return None
    return question if isinstance(question, dict) else None


def _steps(reply: Json) -> Steps:
    """The steps of a stored plan; none when they are of another version."""
    try:
        return forms.steps_from_json(reply.get("steps", ()))
    except InvalidRequest:
        return ()


def _replayed(turns: Sequence[StoredTurn], planner: Planner) -> Context:
    """The context of turns that were stored without it, by version 0.2 and older."""
    context = Context()
    for turn in turns:
        if turn.reply.get("kind") == "plan":
            language = language_of(normalise(turn.text)) if turn.text else context.language
            context = Context(_steps(turn.reply), None, language)
        else:
            _, context = planner.plan(turn.text, context)
    return context
