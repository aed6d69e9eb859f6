"""Carrying a plan out: step after step, until one fails, with the caller's own token."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from netgraft.agent.blocking import in_thread
from netgraft.agent.handlers import Finished, Progress, carry_out
from netgraft.agent.state import RunState, Stopped
from netgraft.agent.steps import Finetune, Resume, Step, Steps
from netgraft.errors import NetgraftError
from netgraft.v1 import agent_pb2

Event = agent_pb2.RunEvent


class Run:
    """One plan being carried out, in one conversation."""

    def __init__(self, steps: Steps, sent: Sequence[agent_pb2.Step], state: RunState) -> None:
        """`sent` holds the same steps as messages, which the events repeat."""
        self.steps, self.sent, self.state = steps, sent, state
        self._begun: set[int] = set()
        """Steps that were begun before, and may have been carried out."""
        self._said: set[str] = set()
        """Notices that this conversation has already shown."""

    async def events(self, happened: Sequence[Event] = ()) -> AsyncGenerator[Event]:
        """Carry the steps out after those already finished, and yield the events.

        Ends after the first step that fails.
        """
        state = self.state
        self._said = await in_thread(state.conversations.notices, state.conversation_id)
        done = self._recall(happened)
        for index, step in enumerate(self.steps[done:], done + 1):
            state.index, state.again = index, index in self._begun
            if not state.again:
                yield self._started(step)
            try:
                async for event in self._carried_out(step):
                    yield event
            except NetgraftError as error:
                yield self._failed(error.reason, error.sentence(state.services.language))
                return
            except Stopped as stop:
                yield self._failed(stop.reason, stop.message)
                return

    def _recall(self, happened: Sequence[Event]) -> int:
        """Restore the state after the steps that were finished before; returns their number."""
        done = 0
        for event in happened:
            if event.HasField("started"):
                self._begun.add(event.started.index)
            if event.HasField("finished"):
                done, self.state.model_id = event.finished.index, event.finished.model_id
                self.state.made[done] = self.state.model_id
                if isinstance(self.steps[done - 1], Finetune | Resume):
                    self.state.job_id = event.finished.job.id
        return done

    async def _carried_out(self, step: Step) -> AsyncIterator[Event]:
        begin = time.monotonic()
        async with aclosing(carry_out(step, self.state)) as happenings:  # type: ignore[type-var]
            async for happening in happenings:
                happening.index = self.state.index
                if isinstance(happening, Progress):
                    yield Event(progress=happening)
                else:
                    yield Event(finished=self._finished(happening, time.monotonic() - begin))

    def _started(self, step: Step) -> Event:
        started = agent_pb2.StepStarted(
            index=self.state.index,
            total=len(self.steps),
            step=self.sent[self.state.index - 1],
            title=self.state.messages.title(step.action, step.said()),
        )
        return Event(started=started)

    def _finished(self, finished: Finished, seconds: float) -> Finished:
        """The end of a step, with the fields that every step has."""
        state = self.state
        state.made[state.index] = finished.model_id = state.model_id
        finished.seconds = seconds
        fresh = [notice for notice in dict.fromkeys(state.notices) if notice not in self._said]
        self._said.update(fresh)
        state.notices.clear()
        finished.summary = "\n".join([finished.summary, *fresh])
        return finished

    def _failed(self, reason: str, message: str) -> Event:
        failed = agent_pb2.StepFailed(index=self.state.index, reason=reason, message=message)
        return Event(failed=failed)
