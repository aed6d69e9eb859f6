"""The state of a run while a plan is carried out: the services, the current model and job,
and the results of the steps so far."""

from dataclasses import dataclass
from typing import Any, Protocol

from netgraft.agent.blocking import in_thread
from netgraft.agent.conversation import Conversations
from netgraft.agent.messages import Messages
from netgraft.agent.record import Start
from netgraft.errors import NothingCurrent
from netgraft.language import Message
from netgraft.store.requests import Asked
from netgraft.v1 import agent_pb2, models_pb2


class Services(Protocol):
    """The other services, in the caller's name: a client's, or those of this process."""

    language: str
    models: Any
    graphs: Any
    surgery: Any
    tuning: Any


@dataclass(frozen=True)
class Stopped(Exception):
    """The job that a step followed did not succeed; the plan stops here."""

    reason: str
    message: str


class RunState:
    """The state of one plan in one conversation."""

    def __init__(
        self,
        services: Services,
        conversations: Conversations,
        request: agent_pb2.RunRequest,
        call: Asked,
        start: Start,
    ) -> None:
        self.services = services
        self.conversations = conversations
        self.conversation_id = request.conversation_id
        self.weights = request.weights
        self.messages = Messages(services.language)
        self.model_id, self.job_id = start.model_id, start.job_id
        self.index = 0
        """The number of the current step."""
        self.again = False
        """Whether the current step was begun before, and may have been carried out."""
        self.made: dict[int, str] = {}
        """Step → id of the model that was current after it."""
        self.notices: list[str] = []
        """Notices about the models that the current step used."""
        self._call = call

    @property
    def request_id(self) -> str:
        """The current step's request_id: the same each time the plan is run under the same id."""
        return self._call.part(self.index)

    async def resolve(self, reference: str | None) -> str:
        """The id of the model that a field means. Raises NothingCurrent and UnknownModel."""
        if not reference:
            if not self.model_id:
                raise NothingCurrent(what=Message("model"))
            return self.model_id
        if reference.startswith("$"):
            return self.made[int(reference[1:])]
        request = models_pb2.ResolveModelRequest(model=reference, weights=self.weights)
        model = await self.services.models.ResolveModel(request)
        self.notices.extend(model.notices)
        model_id: str = model.id
        return model_id

    async def use(self, model_id: str) -> str:
        """Make a model the conversation's current one."""
        self.model_id = model_id
        await in_thread(
            self.conversations.set_current, self.conversation_id, model_id=self.model_id
        )
        return model_id

    def job(self, job_id: str | None) -> str:
        """The id of the job that a field means. Raises NothingCurrent."""
        if not (job_id or self.job_id):
            raise NothingCurrent(what=Message("job"))
        return job_id or self.job_id

    async def follow(self, job_id: str) -> None:
        """Make a job the conversation's current one."""
        self.job_id = job_id
        await in_thread(self.conversations.set_current, self.conversation_id, job_id=job_id)
