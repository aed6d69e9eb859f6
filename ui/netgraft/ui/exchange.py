"""One thing said, and all that came of it."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from netgraft.v1.agent_pb2 import PlannerReply, RunEvent, Turn

TRAINING = {"finetune", "resume"}
"""Steps that a job carries out."""


class State(Enum):
    """The state of one exchange."""

    PLANNING = "planning"
    WAITING = "waiting"
    """For the person to agree to a plan that needs consent."""
    DECLINED = "declined"
    """The person said no to it, with a button or in words."""
    REPLACED = "replaced"
    """Something else was said before the person had answered."""
    LEFT = "left"
    """Not run, and this process does not know why: it was started since."""
    RUNNING = "running"
    DONE = "done"


NOT_RUN = {State.DECLINED, State.REPLACED, State.LEFT}
"""How a plan ends that needed consent and did not get it."""


@dataclass
class Exchange:
    """One thing said, and all that came of it."""

    text: str
    language: str = "en"
    state: State = State.PLANNING
    reply: PlannerReply | None = None
    events: list[RunEvent] = field(default_factory=list)
    """Steps begun, finished and failed, in order; no progress."""
    job_id: str = ""
    """The job that its plan started or resumed."""
    answer: str = ""
    """What was typed at its plan when that was a yes or a no."""
    problem: str = ""
    """The sentence of the error that ended it."""
    picture_before: str | None = None
    """The picture shown before the one that its step is drawing; None: it draws none."""
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the next thing said may be taken up: all done, or only training is left."""

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
    """A conversation as the agent keeps it, with what only this process knows.

    The agent does not hear that a plan was declined, how a broken stream ended, and
    of what it could not plan.
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
        if exchange.state is State.WAITING:  # not any more: something was said since
            exchange.state = State.LEFT
    return whole


def _restored(turn: Turn, language: str) -> Exchange:
    exchange = Exchange(turn.text, language, State.DONE, turn.reply, list(turn.events))
    exchange.settled.set()
    if turn.reply.kind == "plan" and exchange.needs_consent and not turn.events:
        exchange.state = State.WAITING
    return exchange
