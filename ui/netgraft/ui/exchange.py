"""One message of a person, and everything that followed from it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from netgraft.v1.agent_pb2 import PlannerReply, RunEvent, Turn

TRAINING = {"finetune", "resume"}
"""Steps that start or resume a job."""


class State(Enum):
    """The state of one exchange."""

    PLANNING = "planning"
    WAITING = "waiting"
    """The plan needs consent, and the person has not answered yet."""
    DECLINED = "declined"
    """The person declined the plan, with the button or in words."""
    REPLACED = "replaced"
    """The person said something else instead of an answer."""
    LEFT = "left"
    """Not run, and this process, which was started later, does not know why."""
    RUNNING = "running"
    DONE = "done"


NOT_RUN = {State.DECLINED, State.REPLACED, State.LEFT}
"""States of a plan that needed consent and did not get it."""


@dataclass
class Exchange:
    """One message of a person, and everything that followed from it."""

    text: str
    language: str = "en"
    state: State = State.PLANNING
    reply: PlannerReply | None = None
    events: list[RunEvent] = field(default_factory=list)
    """Steps begun, finished and failed, in order; no progress."""
    job_id: str = ""
    """The job that its plan started or resumed."""
    answer: str = ""
    """What the person typed as a yes or a no to its plan."""
    problem: str = ""
    """The sentence of the error that ended it."""
    picture_before: str | None = None
    """The picture shown before its step began to draw one; None while no step draws."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the next message may be handled: nothing is left to do here, or only training."""

    @property
    def needs_consent(self) -> bool:
        """Return whether its plan runs only once the person agrees."""
        return bool(self.reply and self.reply.needs_consent)

    @property
    def needs_job(self) -> bool:
        """Return whether its plan is about the conversation's job, and nothing else."""
        steps = self.reply.steps if self.reply else []
        return bool(steps) and all(
            (step.HasField("cancel") and not step.cancel.job)
            or (step.HasField("resume") and not step.resume.job)
            for step in steps
        )

    @property
    def has_trained(self) -> bool:
        """Return whether a step that trains was begun."""
        begun = [event.started.step.WhichOneof("step") for event in self.events]
        return any(step in TRAINING for step in begun)


def merged(here: list[Exchange], turns: Iterable[Turn], language: str) -> list[Exchange]:
    """Return the agent's turns as exchanges, completed with what only this process knows.

    The agent does not know that a plan was declined, how a broken stream ended, and which
    messages it could not plan.
    """
    known, whole = list(here), []
    for turn in turns:
        exchange = _restored(turn, language)
        while known and known[0].text != turn.text and known[0].reply is None:
            whole.append(known.pop(0))
        if known and known[0].text == turn.text:
            before = known.pop(0)
            exchange.problem, exchange.answer = before.problem, before.answer
            if before.state in NOT_RUN and exchange.state is State.WAITING:
                exchange.state = before.state
        whole.append(exchange)
    whole.extend(exchange for exchange in known if exchange.reply is None)
    for exchange in whole[:-1]:
        if exchange.state is State.WAITING:  # no longer: another message followed
            exchange.state = State.LEFT
    return whole


def _restored(turn: Turn, language: str) -> Exchange:
    exchange = Exchange(turn.text, language, State.DONE, turn.reply, list(turn.events))
    exchange.settled.set()
    if turn.reply.kind == "plan" and exchange.needs_consent and not turn.events:
        exchange.state = State.WAITING
    return exchange
