"""Carrying a plan out: each step is a call of another service with the caller's own token.

What must survive a lost connection is written before it is waited for: the
conversation knows a job's id before its first event is watched.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from netgraft.agent.conversation import Conversations
from netgraft.agent.messages import Messages
from netgraft.agent.record import Start
from netgraft.agent.rules.reply import Fields
from netgraft.errors import InvalidValue, NetgraftError, NothingCurrent, StepUnavailable
from netgraft.language import Message
from netgraft.store.requests import Asked
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

Finished = agent_pb2.StepFinished
Handler = Callable[[Fields], Awaitable[Finished]]

_EDITS: dict[str, tuple[str, Callable[..., Any]]] = {
    "retarget": ("RetargetModel", surgery_pb2.RetargetModelRequest),
    "freeze": ("FreezeLayers", surgery_pb2.FreezeLayersRequest),
    "unfreeze": ("UnfreezeLayers", surgery_pb2.UnfreezeLayersRequest),
    "set_loss": ("SetLoss", surgery_pb2.SetLossRequest),
    "undo": ("UndoEdit", surgery_pb2.UndoEditRequest),
}
"""The rpc of each edit. Its request has the fields of the step."""

_JOB_STEPS = ("finetune", "resume")
_UNAVAILABLE = ("evaluate", "predict")

PICTURES = ("svg", "png")
"""Formats that the graph service draws; the others are exports of the model."""


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


class Run:
    """One plan being carried out, in one conversation."""

    def __init__(
        self,
        client: Services,
        conversations: Conversations,
        request: agent_pb2.RunRequest,
        call: Asked,
        start: Start,
    ) -> None:
        self.client = client
        self.conversations = conversations
        self.steps = request.steps
        self.conversation_id = request.conversation_id
        self.weights = request.weights
        self.call = call
        self.teller = Messages(client.language)
        self.model_id, self.job_id = start.model_id, start.job_id
        self._begun: set[int] = set()
        """Steps that were begun before, and may have been carried out."""
        self._again = False
        """Whether the present step is one of them."""
        self._made: dict[int, str] = {}
        self._told = conversations.told(request.conversation_id)
        self._notices: list[str] = []

    async def events(
        self, happened: Sequence[agent_pb2.RunEvent] = ()
    ) -> AsyncIterator[agent_pb2.RunEvent]:
        """What happens, step by step, after what has happened before.

        Ends after the first step that fails.
        """
        done = self._recall(happened)
        for index, step in enumerate(self.steps[done:], done + 1):
            action, fields = _asked(step)
            if index not in self._begun:
                yield self._started(index, step, self.teller.title(action, fields))
            self._again = index in self._begun
            begin = time.monotonic()
            try:
                async for event in self._step(index, action, fields):
                    if event.HasField("finished"):
                        self._finish(index, event.finished, time.monotonic() - begin)
                    yield event
            except NetgraftError as error:
                yield _failed(index, error.reason, error.sentence(self.client.language))
                return
            except Stopped as stop:
                yield _failed(index, stop.reason, stop.message)
                return

    def _recall(self, happened: Sequence[agent_pb2.RunEvent]) -> int:
        """Stand where the steps that were finished before led to; returns their number."""
        done = 0
        for event in happened:
            if event.HasField("started"):
                self._begun.add(event.started.index)
            if event.HasField("finished"):
                done, self.model_id = event.finished.index, event.finished.model_id
                self._made[done] = self.model_id
                if self.steps[done - 1].WhichOneof("step") in _JOB_STEPS:
                    self.job_id = event.finished.job.id
        return done

    def _started(self, index: int, step: agent_pb2.Step, title: str) -> agent_pb2.RunEvent:
        total = len(self.steps)
        started = agent_pb2.StepStarted(index=index, total=total, step=step, title=title)
        return agent_pb2.RunEvent(started=started)

    def _finish(self, index: int, finished: Finished, seconds: float) -> None:
        finished.index = index
        finished.model_id = self.model_id
        finished.seconds = seconds
        fresh = [notice for notice in dict.fromkeys(self._notices) if notice not in self._told]
        self._told.update(fresh)
        self._notices.clear()
        finished.summary = "\n".join([finished.summary, *fresh])

    async def _step(
        self, index: int, action: str, fields: Fields
    ) -> AsyncIterator[agent_pb2.RunEvent]:
        if action in _UNAVAILABLE:
            raise StepUnavailable(step=action)
        if action in _JOB_STEPS:
            async for event in self._train(index, action, fields):
                yield event
            return
        if action == "show":
            async for event in self._show(index, fields):
                yield event
            return
        finished = await self._call(action)(fields)
        if action in _EDITS:
            self._made[index] = self.model_id
        yield agent_pb2.RunEvent(finished=finished)

    def _call(self, action: str) -> Handler:
        if action in _EDITS:
            return lambda fields: self._edit(action, fields)
        handler: Handler = getattr(self, f"_{action}")
        return handler

    # Models

    async def _resolve(self, reference: str | None) -> str:
        """The id of the model that a field means. Raises NothingCurrent and UnknownModel."""
        if not reference:
            if not self.model_id:
                raise NothingCurrent(what=Message("model"))
            return self.model_id
        if reference.startswith("$"):
            return self._made[int(reference[1:])]
        request = models_pb2.ResolveModelRequest(model=reference, weights=self.weights)
        model = await self.client.models.ResolveModel(request)
        self._notices.extend(model.notices)
        model_id: str = model.id
        return model_id

    def _use(self, model_id: str) -> str:
        """Make a model the conversation's current one."""
        self.model_id = model_id
        self.conversations.set_current(self.conversation_id, model_id=model_id)
        return model_id

    async def _show(self, index: int, fields: Fields) -> AsyncIterator[agent_pb2.RunEvent]:
        model_id = await self._resolve(fields.get("model"))
        focus = fields.get("focus", "")
        if not focus:  # whoever watches can open the page while the graph is drawn
            early = agent_pb2.StepProgress(index=index, page=f"/viz/{model_id}/")
            yield agent_pb2.RunEvent(progress=early)
        request = graph_pb2.DrawGraphRequest(model=model_id, focus=focus)
        graph = await self.client.graphs.DrawGraph(request)
        self._use(model_id)
        yield agent_pb2.RunEvent(finished=Finished(summary=self.teller.drawn(graph), graph=graph))

    async def _compare(self, fields: Fields) -> Finished:
        a, b = await self._resolve(fields.get("a")), await self._resolve(fields.get("b"))
        request = graph_pb2.CompareGraphsRequest(a=a, b=b)
        diff = await self.client.graphs.CompareGraphs(request)
        if not self.model_id:
            self._use(b)
        return Finished(summary=self.teller.compared(diff), diff=diff)

    async def _edit(self, action: str, fields: Fields) -> Finished:
        rpc, request = _EDITS[action]
        model_id = await self._resolve(fields.get("model"))
        call = getattr(self.client.surgery, rpc)
        reply = await call(request(**{**fields, "model": model_id}))
        self._notices.extend(reply.model.notices)
        self._use(reply.model.id)
        return Finished(summary=self.teller.edited(reply), edit=reply)

    async def _inspect(self, fields: Fields) -> Finished:
        model_id = await self._resolve(fields.get("model"))
        request = surgery_pb2.InspectModelRequest(model=model_id)
        found = await self.client.surgery.InspectModel(request)
        self._use(model_id)
        return Finished(summary=self.teller.inspected(found), inspection=found)

    async def _export(self, fields: Fields) -> Finished:
        model_id = self._use(await self._resolve(fields.get("model")))
        form = fields.get("format", "onnx")
        page = f"/export/{model_id}/{form}"
        if form in PICTURES:
            picture = f"graph.{form}"
            page = f"/viz/{model_id}/{picture}"
            wish = graph_pb2.GetViewerFileRequest(model_id=model_id, path=picture)
            await self.client.graphs.GetViewerFile(wish)  # drawn now, or said why not
        ready = agent_pb2.ExportReady(model_id=model_id, format=form, page=page)
        return Finished(summary=self.teller.exported(ready), export=ready)

    async def _list_models(self, fields: Fields) -> Finished:
        request = models_pb2.ListModelsRequest(**fields)
        found = await self.client.models.ListModels(request)
        return Finished(summary=self.teller.found(found), models=found)

    # Jobs

    def _job(self, fields: Fields) -> str:
        job_id: str = fields.get("job") or self.job_id
        if not job_id:
            raise NothingCurrent(what=Message("job"))
        return job_id

    async def _status(self, fields: Fields) -> Finished:
        request = tuning_pb2.GetJobRequest(id=self._job(fields))
        job = await self.client.tuning.GetJob(request)
        return Finished(summary=self.teller.job(job), job=job)

    async def _cancel(self, fields: Fields) -> Finished:
        request = tuning_pb2.CancelJobRequest(id=self._job(fields))
        try:
            job = await self.client.tuning.CancelJob(request)
        except NetgraftError:
            # Where this step was begun before, it may have done so then.
            job = await self.client.tuning.GetJob(tuning_pb2.GetJobRequest(id=request.id))
            if not (self._again and job.state == tuning_pb2.JOB_STATE_CANCELLED):
                raise
        return Finished(summary=self.teller.job(job), job=job)

    async def _list_jobs(self, fields: Fields) -> Finished:
        state = _job_state(fields.get("state", ""))
        found = await self.client.tuning.ListJobs(tuning_pb2.ListJobsRequest(state=state))
        return Finished(summary=self.teller.jobs(found.jobs), jobs=found)

    async def _train(
        self, index: int, action: str, fields: Fields
    ) -> AsyncIterator[agent_pb2.RunEvent]:
        """Start or resume a job and follow it to its end. Raises Stopped."""
        once = self.call.part(index)
        if action == "resume":
            request = tuning_pb2.ResumeJobRequest(id=self._job(fields), request_id=once)
            job = await self.client.tuning.ResumeJob(request)
        else:
            model_id = await self._resolve(fields.get("model"))
            spec = tuning_pb2.TuningSpec(**{**fields, "model": model_id})
            start = tuning_pb2.StartTuningRequest(spec=spec, request_id=once)
            job = await self.client.tuning.StartTuning(start)
        self.job_id = job.id
        self.conversations.set_current(self.conversation_id, job_id=job.id)
        # From its newest event, "queued": whoever listens knows the job before it begins.
        seen = max(0, job.last_event.seq - 1)
        watch = tuning_pb2.WatchJobRequest(id=job.id, after_seq=seen)
        async for event in self.client.tuning.WatchJob(watch):
            progress = agent_pb2.StepProgress(index=index, job_id=job.id, event=event)
            yield agent_pb2.RunEvent(progress=progress)
        job = await self.client.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
        yield await self._ended(index, job)

    async def _ended(self, index: int, job: tuning_pb2.Job) -> agent_pb2.RunEvent:
        if job.state == tuning_pb2.JOB_STATE_CANCELLED:
            raise Stopped("JOB_CANCELLED", self.teller.stopped(job))
        if job.state != tuning_pb2.JOB_STATE_SUCCEEDED:
            raise Stopped(job.error_reason or "TRAINING_FAILED", job.error_message)
        self._made[index] = self._use(job.result_model)
        model = await self.client.models.GetModel(models_pb2.GetModelRequest(id=job.result_model))
        self._notices.extend(model.notices)
        return agent_pb2.RunEvent(finished=Finished(summary=self.teller.tuned(job), job=job))


def _asked(step: agent_pb2.Step) -> tuple[str, Fields]:
    """The action of a step and those of its fields that are set, as the contract has them.

    In JSON large integers, NaN and infinities would be strings.
    """
    action = step.WhichOneof("step")
    assert action is not None, "jsonform.check has seen to it"
    said = getattr(step, action).ListFields()
    return action, {field.name: list(v) if field.is_repeated else v for field, v in said}


def _failed(index: int, reason: str, message: str) -> agent_pb2.RunEvent:
    failed = agent_pb2.StepFailed(index=index, reason=reason, message=message)
    return agent_pb2.RunEvent(failed=failed)


def _job_state(word: str) -> "tuning_pb2.JobState.ValueType":
    """The state that a word names, or every one. Raises InvalidValue."""
    states = {
        name.removeprefix("JOB_STATE_").lower(): value
        for name, value in tuning_pb2.JobState.items()
        if value
    }
    if word and word not in states:
        raise InvalidValue(name="state", value=repr(word), expected=f"one of {', '.join(states)}")
    return states.get(word, tuning_pb2.JOB_STATE_UNSPECIFIED)
