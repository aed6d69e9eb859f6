"""Protobuf at the edge of the agent: the Agent service, in-process or served."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from netgraft.agent import alone, consent, conversation, jsonform
from netgraft.agent.conversation import Conversations
from netgraft.agent.record import Found, Lost, Record, Start, is_over
from netgraft.agent.rules import Context, Planner, default_planner
from netgraft.agent.run import Run, Services
from netgraft.client import AsyncClient, named
from netgraft.serving.servicers import caller, must_name
from netgraft.store.requests import Asked, asked
from netgraft.store.store import Store, default_store
from netgraft.v1 import agent_pb2, models_pb2

TAIL_SECONDS = 0.2
"""How often one who waits for the same call asks how it stands."""


class AgentServicer:
    """See `agent.proto`. Run calls the services at `address`, or those that `services` opens."""

    def __init__(
        self,
        store: Store | None = None,
        planner: Planner | None = None,
        address: str = "",
        services: Callable[[], AbstractAsyncContextManager[Services]] | None = None,
    ) -> None:
        self.store = store or default_store()
        self.planner = planner or default_planner()
        self.address = address
        self.services = services
        self.conversations = Conversations(self.store)

    def Plan(self, request: agent_pb2.PlanRequest) -> agent_pb2.PlannerReply:
        alone.check_size(request.text)
        identity = conversation.valid_id(request.conversation_id)
        context = self.conversations.context(identity, self.planner) if identity else Context()
        document = self.planner.plan(request.text, context).json()
        reply = jsonform.reply_from_json(document)
        if identity:
            said = request.text.replace("\0", " ")  # PostgreSQL stores no NUL
            self.conversations.say(identity, said, jsonform.reply_to_json(reply))
        return reply

    def Consent(self, request: agent_pb2.ConsentRequest) -> agent_pb2.ConsentReply:
        identity = conversation.valid_id(request.conversation_id)
        jsonform.check(jsonform.steps_to_json(request.steps))
        given = consent.grant(self.store, request.steps, identity)
        reply = agent_pb2.ConsentReply(token=given.token)
        reply.expire_time.FromNanoseconds(int(given.expires * 1e9))
        return reply

    async def Run(self, request: agent_pb2.RunRequest) -> AsyncIterator[agent_pb2.RunEvent]:
        identity = conversation.valid_id(request.conversation_id)
        jsonform.check(jsonform.steps_to_json(request.steps))
        must_name("weights", request.weights, models_pb2.WeightsPolicy)
        record = Record(self.store, _call(request))
        start = Start(0, *self.conversations.current(identity))
        told = 0
        while True:
            found = await asyncio.to_thread(record.open, start, partial(_admit, request))
            for event in found.happened[told:]:
                yield event
            told = len(found.happened)
            if is_over(found.happened, len(request.steps)):
                return
            if not found.held:  # the same call goes on elsewhere
                await asyncio.sleep(TAIL_SECONDS)
                continue
            with suppress(Lost):
                async with aclosing(self._carry_out(request, record, found)) as events:
                    async for event in events:
                        told += not event.HasField("progress")
                        yield event
                return

    async def _carry_out(
        self, request: agent_pb2.RunRequest, record: Record, found: Found
    ) -> AsyncGenerator[agent_pb2.RunEvent]:
        """Carry a plan out from where it stands, and write down what happens. Raises Lost."""
        identity = request.conversation_id
        async with record.held(), self._others() as client:
            turn = self._turn(request, record, found.start)
            run = Run(client, self.conversations, request, record.call, found.start)
            async for event in run.events(found.happened):
                if not event.HasField("progress"):
                    record.add(event)
                    if identity:
                        self.conversations.happened(identity, turn, jsonform.event_to_json(event))
                yield event

    def _turn(self, request: agent_pb2.RunRequest, record: Record, start: Start) -> int:
        """Position of the turn whose plan is carried out; 0 without a conversation."""
        if not request.conversation_id or start.turn:
            return start.turn
        steps = jsonform.steps_to_json(request.steps)
        turn = self.conversations.turn_of(request.conversation_id, steps)
        record.began_at(replace(start, turn=turn))
        return turn

    def _others(self) -> AbstractAsyncContextManager[Services]:
        """The services that carry a plan out, as the caller may use them."""
        if self.services:
            return self.services()
        who = caller()
        return AsyncClient(self.address, who.token, who.language)

    def GetConversation(self, request: agent_pb2.GetConversationRequest) -> agent_pb2.Conversation:
        return conversation.message(conversation.valid_id(request.id), self.conversations)


def _call(request: agent_pb2.RunRequest) -> Asked:
    """What identifies a Run; one without a request_id is like no other. Raises InvalidValue."""
    call = asked("Run", named(request), caller().token)
    assert call is not None
    return call


def _admit(request: agent_pb2.RunRequest, session: Session) -> None:
    """Use the consent up where a plan needs it: before anything of the plan runs, so that it is
    carried out whole or not at all. Raises ConsentNeeded."""
    if consent.costly(request.steps):
        consent.spend(session, request.consent_token, request.steps, request.conversation_id)
