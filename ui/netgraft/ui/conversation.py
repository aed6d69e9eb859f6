"""One conversation: what was said, planned, agreed to and done.

A conversation carries plans out in its own tasks, so that a reload, a second tab or a closed
page changes nothing; pages only show its state. What must outlive this process is stored by
the agent and read from there. Knows nothing of Gradio.
"""

import asyncio
import logging
import re
import secrets
from collections import OrderedDict
from collections.abc import Coroutine
from typing import Any

from netgraft.errors import NetgraftError, Unreachable
from netgraft.language import mark, render
from netgraft.ui.answers import answer
from netgraft.ui.backend import Backend
from netgraft.ui.exchange import Exchange, State, merged
from netgraft.ui.job import Jobs
from netgraft.v1 import agent_pb2, surgery_pb2, tuning_pb2
from netgraft.v1.agent_pb2 import RunEvent

logger = logging.getLogger(__name__)

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
MOST_IDLE = 200
"""Idle conversations that are kept in memory."""
NO_JOB = mark("There is no training in this conversation yet.")


class Conversation:
    """See the module. All methods belong to one event loop."""

    def __init__(self, name: str, backend: Backend, jobs: Jobs) -> None:
        self.name = name
        self.backend = backend
        self.jobs = jobs
        self.exchanges: list[Exchange] = []
        self.model_id = ""
        self.job_id = ""
        self.picture = ""
        """Path of the page to show: a model's, or the one that compares two."""
        self.inspection: surgery_pb2.Inspection | None = None
        self.edit: surgery_pb2.EditReply | None = None
        """What the last edit did, when it made the current model."""
        self.problem = ""
        """Why the conversation cannot be shown, as a sentence."""
        self.version = 0
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._restored = False
        self._followed: set[str] = set()
        """Jobs whose resulting model this conversation has already taken up."""

    @property
    def is_busy(self) -> bool:
        """Return whether something other than training is going on."""
        return any(not exchange.settled.is_set() for exchange in self.exchanges)

    @property
    def is_idle(self) -> bool:
        """Return whether no task is running, not even one that waits for training."""
        return not self._tasks

    @property
    def pending(self) -> Exchange | None:
        """The exchange whose plan waits for consent; it can only be the newest."""
        last = self.exchanges[-1] if self.exchanges else None
        return last if last and last.state is State.WAITING else None

    async def change(self, seen: int, timeout: float) -> None:
        """Return once `version` is not `seen`, or after `timeout` seconds."""
        if self.version == seen:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout)
            except TimeoutError:
                return

    def say(self, text: str, language: str) -> None:
        """Handle a message of the person in the background; `version` grows with every change.

        A yes or a no to the pending plan does what its buttons do.
        """
        agrees = answer(text) if self.pending else None
        if self.pending and agrees is not None:
            self.pending.answer = text
            self.agree(language) if agrees else self.decline()
            return
        before = self.exchanges[-1] if self.exchanges else None
        if before and before.state is State.WAITING:
            before.state = State.REPLACED
        exchange = Exchange(text, language)
        self.exchanges.append(exchange)
        self._notify()
        self._start(self._finish(exchange, self._converse(exchange, before, language)))

    def agree(self, language: str) -> None:
        """Carry out the pending plan."""
        if exchange := self.pending:
            exchange.settled.clear()
            exchange.state = State.RUNNING
            self._notify()
            self._start(self._finish(exchange, self._carry_out_agreed(exchange, language)))

    def decline(self) -> None:
        """Discard the pending plan."""
        if exchange := self.pending:
            exchange.state = State.DECLINED
            self._notify()

    async def cancel_job(self, language: str) -> None:
        """Cancel the current job. Its last checkpoint is kept."""
        view = self.jobs.view(self.job_id)
        try:
            request = tuning_pb2.CancelJobRequest(id=self.job_id)
            job = await self.backend.client(language).tuning.CancelJob(request)
        except NetgraftError as error:
            if view:
                view.error = error.sentence(language)
                view.version += 1
        else:
            if view:
                view.update(job)
            self.jobs.follow(self.job_id, language)

    async def restore(self, language: str) -> None:
        """Read the conversation from the agent, unless a plan is being made or carried out here."""
        if any(exchange.state in {State.PLANNING, State.RUNNING} for exchange in self.exchanges):
            return
        request = agent_pb2.GetConversationRequest(id=self.name)
        try:
            conversation = await self.backend.client(language).agent.GetConversation(request)
        except NetgraftError as error:
            self._restored = not isinstance(error, Unreachable)
            self.problem = "" if self._restored else error.sentence(language)
            self._notify()
            return
        self._restored, self.problem = True, ""
        self._replay(conversation, language)
        if self.job_id:
            self.jobs.follow(self.job_id, language)
        self._inspect_current(language)
        self._notify()

    async def refresh(self, language: str) -> None:
        """Restore again if that has failed so far, or if a job ended for which no task here was
        waiting: the agent then has a new current model."""
        view = self.jobs.view(self.job_id)
        is_news = view and view.result_model and self.job_id not in self._followed
        if is_news or not self._restored:
            if is_news:
                self._followed.add(self.job_id)
            await self.restore(language)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _replay(self, conversation: agent_pb2.Conversation, language: str) -> None:
        self.exchanges = merged(self.exchanges, conversation.turns, language)
        # Replay the steps in order, so that the picture is that of the last one.
        self.model_id = ""
        for exchange in self.exchanges:
            for event in exchange.events:
                self._apply_result(exchange, event.finished)
                self._show_model(event.finished.model_id)
        self.job_id = conversation.job_id
        if (pending := self.pending) and pending.needs_job and not self.job_id:
            pending.problem, pending.state = render(NO_JOB, {}, language), State.DONE
        for exchange in reversed(self.exchanges):
            if exchange.has_trained:
                exchange.job_id = self.job_id
                break
        self._show_model(conversation.model_id)

    async def _finish(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            if exchange.state in {State.PLANNING, State.RUNNING}:
                self._settle(exchange, State.DONE)
            self._inspect_current(exchange.language)

    async def _converse(self, exchange: Exchange, before: Exchange | None, language: str) -> None:
        if before:
            await before.settled.wait()
        agent = self.backend.client(language).agent
        try:
            request = agent_pb2.PlanRequest(text=exchange.text, conversation_id=self.name)
            exchange.reply = await agent.Plan(request)
        except NetgraftError as error:
            exchange.problem = error.sentence(language)
        self._restored = True
        if exchange.problem or not exchange.reply or exchange.reply.kind != "plan":
            self._settle(exchange, State.DONE)
        elif exchange.needs_job and not self.job_id:  # nothing to consent to
            exchange.problem = render(NO_JOB, {}, language)
            self._settle(exchange, State.DONE)
        elif exchange.needs_consent:
            is_last = exchange is self.exchanges[-1]
            self._settle(exchange, State.WAITING if is_last else State.REPLACED)
        else:
            await self._carry_out(exchange, "", language)

    async def _carry_out_agreed(self, exchange: Exchange, language: str) -> None:
        assert exchange.reply is not None
        request = agent_pb2.ConsentRequest(steps=exchange.reply.steps, conversation_id=self.name)
        try:
            consent = await self.backend.client(language).agent.Consent(request)
        except NetgraftError as error:
            exchange.problem = error.sentence(language)
            self._settle(exchange, State.DONE)
        else:
            await self._carry_out(exchange, consent.token, language)

    async def _carry_out(self, exchange: Exchange, consent: str, language: str) -> None:
        assert exchange.reply is not None
        exchange.state = State.RUNNING
        self._notify()
        request = agent_pb2.RunRequest(
            steps=exchange.reply.steps, conversation_id=self.name, consent_token=consent
        )
        try:
            async for event in self.backend.client(language).agent.Run(request):
                self._apply(exchange, event, language)
        except NetgraftError as error:
            exchange.problem = error.sentence(language)

    def _apply(self, exchange: Exchange, event: RunEvent, language: str) -> None:
        if event.WhichOneof("event") == "progress":
            if event.progress.page:
                exchange.picture_before = self.picture
                self.picture = event.progress.page
                self._notify()
            elif exchange.job_id != event.progress.job_id:
                exchange.job_id = self.job_id = event.progress.job_id
                self.jobs.follow(self.job_id, language)
                exchange.settled.set()
                self._inspect_current(language)
                self._notify()
            return
        exchange.events.append(event)
        if event.HasField("failed") and exchange.picture_before is not None:
            self.picture = exchange.picture_before
        exchange.picture_before = None
        if event.HasField("finished"):
            self._apply_result(exchange, event.finished)
            if event.finished.HasField("job"):
                self.jobs.follow(self.job_id, language)
                self._followed.add(self.job_id)
            self._show_model(event.finished.model_id)
        self._notify()

    def _apply_result(self, exchange: Exchange, finished: agent_pb2.StepFinished) -> None:
        kind = finished.WhichOneof("result")
        if kind == "graph":
            self.picture = finished.graph.page
        elif kind == "diff":
            self.picture = finished.diff.page
        elif kind == "edit":
            self.edit = finished.edit
        elif kind == "job":
            self.job_id = exchange.job_id = finished.job.id
        elif kind == "inspection":
            self.inspection = finished.inspection

    def _show_model(self, model: str) -> None:
        if not model or model == self.model_id:
            return
        self.model_id = model
        if model not in self.picture:
            self.picture = f"/viz/{model}/"

    def _inspect_current(self, language: str) -> None:
        if self.model_id and (not self.inspection or self.inspection.model.id != self.model_id):
            self._start(self._inspect(self.model_id, language))

    async def _inspect(self, model: str, language: str) -> None:
        request = surgery_pb2.InspectModelRequest(model=model)
        try:
            inspection = await self.backend.client(language).surgery.InspectModel(request)
        except NetgraftError:
            return  # the panel stays empty; the chat has already shown the error
        if model == self.model_id:
            self.inspection = inspection
            self._notify()

    def _settle(self, exchange: Exchange, state: State) -> None:
        exchange.state = state
        exchange.settled.set()
        self._notify()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            logger.error("conversation %s", self.name, exc_info=failure)

    def _notify(self) -> None:
        self.version += 1
        self._changed.set()
        self._changed = asyncio.Event()


class Conversations:
    """The conversations that were used recently."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.jobs = Jobs(backend)
        self._by_name: OrderedDict[str, Conversation] = OrderedDict()

    def open(self, name: str) -> Conversation:
        """Return the conversation of this name; make it if there is none."""
        conversation = self._by_name.get(name) or Conversation(name, self.backend, self.jobs)
        self._by_name[name] = conversation
        self._by_name.move_to_end(name)
        idle = [name for name, conversation in self._by_name.items() if conversation.is_idle]
        for old in idle[:-MOST_IDLE]:
            del self._by_name[old]
        return conversation

    async def close(self) -> None:
        await self.jobs.close()
        for conversation in self._by_name.values():
            await conversation.close()


def new_name() -> str:
    """Return a new name for a conversation, which nobody can guess."""
    return secrets.token_hex(16)


def is_name(name: object) -> bool:
    """Return whether this can be a conversation's name."""
    return isinstance(name, str) and NAME.fullmatch(name) is not None
