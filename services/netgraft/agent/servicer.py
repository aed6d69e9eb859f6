"""The Agent service: convert between protobuf and the agent package."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from netgraft.agent import alone, consent, conversation, forms
from netgraft.agent.blocking import in_thread
from netgraft.agent.conversation import Conversations
from netgraft.agent.estimates import Estimate, no_estimate
from netgraft.agent.planner import Planner
from netgraft.agent.record import Found, Lost, Record, Start, is_over
from netgraft.agent.rules import default_planner
from netgraft.agent.run import Run
from netgraft.agent.state import RunState, Services
from netgraft.agent.steps import Steps, consent_needed
from netgraft.client import AsyncClient
from netgraft.repeating import with_request_id
from netgraft.serving.servicers import caller, must_name
from netgraft.store.requests import Asked, asked
from netgraft.store.store import Store, default_store
from netgraft.v1 import agent_pb2, models_pb2

TAIL_SECONDS = 0.2
"""Seconds between two checks for new events, while another process carries out the same call."""


class AgentServicer:
    """See `agent.proto`. Run calls the services at `address`, or those that `services` opens."""

    def __init__(
        self,
        store: Store | None = None,
        planner: Planner | None = None,
        address: str = "",
        services: Callable[[], AbstractAsyncContextManager[Services]] | None = None,
        estimate: Estimate = no_estimate,
    ) -> None:
        self.store = store or default_store()
        self.planner: Planner = planner or default_planner()
        self.address = address
        self.services = services
        self.estimate = estimate
        self.conversations = Conversations(self.store)

    def Plan(self, request: agent_pb2.PlanRequest) -> agent_pb2.PlannerReply:
        alone.check_size(request.text)
        identity = conversation.valid_id(request.conversation_id)
        context = self.conversations.context(identity, self.planner)
        reply, context = self.planner.plan(request.text, context)
        forms.checked(reply)
        if reply.steps:
            current = self.conversations.current(identity)[0] if identity else ""
            expected = self.estimate(reply.steps, current)
            reply = replace(reply, assumptions=(*reply.assumptions, *expected))
        if identity:
            said = request.text.replace("\0", " ")  # PostgreSQL stores no NUL
            self.conversations.say(identity, said, forms.reply_to_json(reply), context)
        return forms.reply_to_proto(reply)

    def Consent(self, request: agent_pb2.ConsentRequest) -> agent_pb2.ConsentReply:
        identity = conversation.valid_id(request.conversation_id)
        given = consent.grant(self.store, forms.steps_from_proto(request.steps), identity)
        reply = agent_pb2.ConsentReply(token=given.token)
        reply.expire_time.FromNanoseconds(int(given.expires * 1e9))
        return reply

    async def Run(self, request: agent_pb2.RunRequest) -> AsyncIterator[agent_pb2.RunEvent]:
        identity = conversation.valid_id(request.conversation_id)
        steps = forms.steps_from_proto(request.steps)
        must_name("weights", request.weights, models_pb2.WeightsPolicy)
        record = Record(self.store, _call(request))
        start = Start(0, *await in_thread(self.conversations.current, identity))
        admit = partial(_admit, request, steps)
        reported = 0
        while True:
            found = await in_thread(record.open, start, admit)
            for event in found.happened[reported:]:
                yield event
            reported = len(found.happened)
            if is_over(found.happened, len(steps)):
                return
            if not found.held:  # another process is carrying the same call out
                await asyncio.sleep(TAIL_SECONDS)
                continue
            with suppress(Lost):
                async with aclosing(self._carry_out(request, steps, record, found)) as events:
                    async for event in events:
                        reported += not event.HasField("progress")
                        yield event
                return

    async def _carry_out(
        self, request: agent_pb2.RunRequest, steps: Steps, record: Record, found: Found
    ) -> AsyncGenerator[agent_pb2.RunEvent]:
        """Carry a plan out from where it stopped, and record its events. Raises Lost."""
        identity = request.conversation_id
        async with record.held(), self._others() as services:
            turn = await in_thread(self._turn, identity, steps, record, found.start)
            state = RunState(services, self.conversations, request, record.call, found.start)
            run = Run(steps, request.steps, state)
            async with aclosing(run.events(found.happened)) as events:
                async for event in events:
                    if not event.HasField("progress"):
                        await in_thread(self._write, identity, turn, record, event)
                    yield event

    def _turn(self, identity: str, steps: Steps, record: Record, start: Start) -> int:
        """Return the position of the turn whose plan is carried out; 0 without a conversation."""
        if not identity or start.turn:
            return start.turn
        turn = self.conversations.turn_of(identity, forms.steps_to_json(steps))
        record.began_at(replace(start, turn=turn))
        return turn

    def _write(self, identity: str, turn: int, record: Record, event: agent_pb2.RunEvent) -> None:
        """Record an event. Raises Lost."""
        record.add(event)
        if identity:
            self.conversations.happened(identity, turn, forms.event_to_json(event))

    def _others(self) -> AbstractAsyncContextManager[Services]:
        """Return the services that carry a plan out, with the caller's permissions."""
        if self.services:
            return self.services()
        who = caller()
        return AsyncClient(self.address, who.token, who.language)

    def GetConversation(self, request: agent_pb2.GetConversationRequest) -> agent_pb2.Conversation:
        return conversation.message(conversation.valid_id(request.id), self.conversations)


def _call(request: agent_pb2.RunRequest) -> Asked:
    """Return the identity of a Run, unique if it has no request_id. Raises InvalidValue."""
    call = asked("Run", with_request_id(request), caller().token)
    assert call is not None
    return call


def _admit(request: agent_pb2.RunRequest, steps: Steps, session: Session) -> None:
    """Use up the consent if the plan needs it, before its first step, so that no plan stops halfway
    for lack of consent. Raises ConsentNeeded."""
    if consent_needed(steps):
        consent.spend(session, request.consent_token, steps, request.conversation_id)
