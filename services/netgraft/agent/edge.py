"""Protobuf at the edge of the agent: the Agent service, in-process or served."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

from netgraft.agent import consent, conversation, jsonform
from netgraft.agent.conversation import Conversations
from netgraft.agent.planner import Context, Planner, default_planner
from netgraft.agent.run import Run, Services
from netgraft.client import AsyncClient
from netgraft.errors import TooLarge
from netgraft.models.store import Store, default_store
from netgraft.serving import caller
from netgraft.v1 import agent_pb2

MAX_TEXT = 100_000
"""Bytes of a text to plan."""


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
        if len(request.text.encode()) > MAX_TEXT:
            raise TooLarge(what="text", limit=f"{MAX_TEXT:,} bytes")
        identity = conversation.valid_id(request.conversation_id)
        context = self.conversations.context(identity, self.planner) if identity else Context()
        document = self.planner.plan(request.text, context).json()
        reply = jsonform.reply_from_json(document)
        if identity:
            self.conversations.say(identity, request.text, jsonform.reply_to_json(reply))
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
        steps = jsonform.steps_to_json(request.steps)
        jsonform.check(steps)
        if consent.costly(request.steps):
            # before anything of the plan runs, so that a plan is carried out whole or not at all
            spend = (self.store, request.consent_token, request.steps, identity)
            await asyncio.to_thread(consent.spend, *spend)
        turn = self.conversations.turn_of(identity, steps) if identity else 0
        async with self._others() as client:
            run = Run(client, self.conversations, identity, request.weights)
            async for event in run.events(request.steps):
                if identity and not event.HasField("progress"):
                    self.conversations.happened(identity, turn, jsonform.event_to_json(event))
                yield event

    def _others(self) -> AbstractAsyncContextManager[Services]:
        """The services that carry a plan out, as the caller may use them."""
        if self.services:
            return self.services()
        who = caller()
        return AsyncClient(self.address, who.token, who.language)

    def GetConversation(self, request: agent_pb2.GetConversationRequest) -> agent_pb2.Conversation:
        return conversation.message(conversation.valid_id(request.id), self.conversations)
