"""Handlers of the steps: each calls another service; one function for each type of step.

Whatever must survive a lost connection is stored before it is waited for: the conversation
knows a job's id before its first event is watched.
"""

from collections.abc import AsyncIterator, Callable
from functools import singledispatch
from typing import Any

from netgraft.agent.state import RunState, Stopped
from netgraft.agent.steps import (
    Cancel,
    Compare,
    Evaluate,
    Export,
    Finetune,
    Forecast,
    Freeze,
    Inspect,
    ListJobs,
    ListModels,
    Predict,
    Resume,
    Retarget,
    SetLoss,
    Show,
    Status,
    Step,
    Undo,
    Unfreeze,
)
from netgraft.errors import InvalidValue, NetgraftError, StepUnavailable
from netgraft.language import Message
from netgraft.v1 import agent_pb2, graph_pb2, models_pb2, surgery_pb2, tuning_pb2

Finished = agent_pb2.StepFinished
Progress = agent_pb2.StepProgress
Happenings = AsyncIterator[Progress | Finished]
"""The events of a step: progress, and at its end Finished, without the fields every step has."""

PICTURES = ("svg", "png")
"""Formats that the graph service draws; the others are exports of the model."""
THUMBNAILS = 12
"""Pictures that are shown with what the model sees in them."""
MOST_PREDICTIONS = 100
"""Predictions that a conversation keeps; `netgraft predict` gives all."""


@singledispatch
def carry_out(step: Step, run: RunState) -> Happenings:
    """Carry a step out. Raises NetgraftError and Stopped."""
    raise StepUnavailable(step=step.action)


@carry_out.register
async def _show(step: Show, run: RunState) -> Happenings:
    model_id = await run.resolve(step.model)
    if not step.focus:  # the reader can open the page while the graph is drawn
        yield Progress(page=f"/viz/{model_id}/")
    request = graph_pb2.DrawGraphRequest(model=model_id, focus=step.focus or "")
    graph = await run.services.graphs.DrawGraph(request)
    await run.use(model_id)
    yield Finished(summary=run.messages.drawn(graph), graph=graph)


@carry_out.register
async def _compare(step: Compare, run: RunState) -> Happenings:
    a, b = await run.resolve(step.a), await run.resolve(step.b)
    diff = await run.services.graphs.CompareGraphs(graph_pb2.CompareGraphsRequest(a=a, b=b))
    if not run.model_id:
        await run.use(b)
    yield Finished(summary=run.messages.compared(diff), diff=diff)


@carry_out.register
async def _inspect(step: Inspect, run: RunState) -> Happenings:
    model_id = await run.resolve(step.model)
    found = await run.services.surgery.InspectModel(surgery_pb2.InspectModelRequest(model=model_id))
    await run.use(model_id)
    yield Finished(summary=run.messages.inspected(found), inspection=found)


@carry_out.register
async def _export(step: Export, run: RunState) -> Happenings:
    model_id = await run.use(await run.resolve(step.model))
    form = step.format or "onnx"
    page = f"/export/{model_id}/{form}"
    if form in PICTURES:
        picture = f"graph.{form}"
        page = f"/viz/{model_id}/{picture}"
        request = graph_pb2.GetViewerFileRequest(model_id=model_id, path=picture)
        await run.services.graphs.GetViewerFile(request)  # drawn now, or the error says why not
    ready = agent_pb2.ExportReady(model_id=model_id, format=form, page=page)
    yield Finished(summary=run.messages.exported(ready), export=ready)


@carry_out.register
async def _list_models(step: ListModels, run: RunState) -> Happenings:
    request = models_pb2.ListModelsRequest(**step.said())  # type: ignore[arg-type]
    found = await run.services.models.ListModels(request)
    yield Finished(summary=run.messages.found(found), models=found)


# Edits


@carry_out.register
async def _retarget(step: Retarget, run: RunState) -> Happenings:
    yield await _edit(run, step, "RetargetModel", surgery_pb2.RetargetModelRequest)


@carry_out.register
async def _freeze(step: Freeze, run: RunState) -> Happenings:
    yield await _edit(run, step, "FreezeLayers", surgery_pb2.FreezeLayersRequest)


@carry_out.register
async def _unfreeze(step: Unfreeze, run: RunState) -> Happenings:
    yield await _edit(run, step, "UnfreezeLayers", surgery_pb2.UnfreezeLayersRequest)


@carry_out.register
async def _set_loss(step: SetLoss, run: RunState) -> Happenings:
    yield await _edit(run, step, "SetLoss", surgery_pb2.SetLossRequest)


@carry_out.register
async def _undo(step: Undo, run: RunState) -> Happenings:
    yield await _edit(run, step, "UndoEdit", surgery_pb2.UndoEditRequest)


async def _edit(run: RunState, step: Step, rpc: str, request: Callable[..., Any]) -> Finished:
    """Make an edit by an rpc whose request has the fields of the step."""
    fields = step.said()
    model_id = await run.resolve(str(fields.get("model", "")))
    call = getattr(run.services.surgery, rpc)
    reply = await call(request(**{**fields, "model": model_id}))
    run.notices.extend(reply.model.notices)
    await run.use(reply.model.id)
    return Finished(summary=run.messages.edited(reply), edit=reply)


# Asking a model


@carry_out.register
async def _evaluate(step: Evaluate, run: RunState) -> Happenings:
    model_id = await run.use(await run.resolve(step.model))
    request = tuning_pb2.EvaluateRequest(
        model=model_id, data=step.data or "", part=step.split or ""
    )
    found = tuning_pb2.Evaluation()
    async for reply in run.services.tuning.Evaluate(request):
        yield Progress(done=reply.done, total=reply.total)
        found = reply.evaluation
    yield Finished(summary=run.messages.evaluated(found), evaluation=found)


@carry_out.register
async def _predict(step: Predict, run: RunState) -> Happenings:
    model_id = await run.use(await run.resolve(step.model))
    request = tuning_pb2.PredictRequest(
        model=model_id, paths=[step.input or ""], thumbnails=THUMBNAILS
    )
    found = agent_pb2.Predictions()
    async for reply in run.services.tuning.Predict(request):
        yield Progress(done=reply.done, total=reply.total)
        found.total = reply.total
        found.unreadable += bool(reply.error)
        if len(found.pictures) < MOST_PREDICTIONS:
            found.pictures.append(reply)
    yield Finished(summary=run.messages.predicted(found), predictions=found)


# Jobs


@carry_out.register
async def _finetune(step: Finetune, run: RunState) -> Happenings:
    model_id = await run.resolve(step.model)
    spec = tuning_pb2.TuningSpec(**{**step.said(), "model": model_id})  # type: ignore[arg-type]
    request = tuning_pb2.StartTuningRequest(spec=spec, request_id=run.request_id)
    async for happening in _followed(run, await run.services.tuning.StartTuning(request)):
        yield happening


@carry_out.register
async def _forecast(step: Forecast, run: RunState) -> Happenings:
    model_id = await run.use(await run.resolve(step.model))
    spec = tuning_pb2.TuningSpec(**{**step.said(), "model": model_id})  # type: ignore[arg-type]
    found = tuning_pb2.ForecastReply()
    async for found in run.services.tuning.Forecast(tuning_pb2.ForecastRequest(spec=spec)):
        yield Progress(done=found.done, total=found.total)
    yield Finished(summary=run.messages.forecast(found), forecast=found)


@carry_out.register
async def _resume(step: Resume, run: RunState) -> Happenings:
    said = {**step.said(), "id": run.job(step.job), "request_id": run.request_id}
    said.pop("job", None)
    request = tuning_pb2.ResumeJobRequest(**said)  # type: ignore[arg-type]
    async for happening in _followed(run, await run.services.tuning.ResumeJob(request)):
        yield happening


async def _followed(run: RunState, job: tuning_pb2.Job) -> Happenings:
    """Follow a job to its end. Raises Stopped unless it succeeded."""
    await run.follow(job.id)
    # From its newest event, "queued": the client knows the job before it begins.
    seen = max(0, job.last_event.seq - 1)
    watch = tuning_pb2.WatchJobRequest(id=job.id, after_seq=seen)
    async for event in run.services.tuning.WatchJob(watch):
        yield Progress(job_id=job.id, event=event)
    job = await run.services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job.id))
    if job.state == tuning_pb2.JOB_STATE_CANCELLED:
        raise Stopped("JOB_CANCELLED", run.messages.stopped(job))
    if job.state != tuning_pb2.JOB_STATE_SUCCEEDED:
        raise Stopped(job.error_reason or "TRAINING_FAILED", job.error_message)
    await run.use(job.result_model)
    model = await run.services.models.GetModel(models_pb2.GetModelRequest(id=job.result_model))
    run.notices.extend(model.notices)
    yield Finished(summary=run.messages.tuned(job), job=job)


@carry_out.register
async def _status(step: Status, run: RunState) -> Happenings:
    request = tuning_pb2.GetJobRequest(id=run.job(step.job))
    job = await run.services.tuning.GetJob(request)
    yield Finished(summary=run.messages.job(job), job=job)


@carry_out.register
async def _cancel(step: Cancel, run: RunState) -> Happenings:
    job_id = run.job(step.job)
    try:
        job = await run.services.tuning.CancelJob(tuning_pb2.CancelJobRequest(id=job_id))
    except NetgraftError:
        # If this step was begun before, it may have done so then.
        job = await run.services.tuning.GetJob(tuning_pb2.GetJobRequest(id=job_id))
        if not (run.again and job.state == tuning_pb2.JOB_STATE_CANCELLED):
            raise
    yield Finished(summary=run.messages.job(job), job=job)


@carry_out.register
async def _list_jobs(step: ListJobs, run: RunState) -> Happenings:
    request = tuning_pb2.ListJobsRequest(state=_job_state(step.state or ""))
    found = await run.services.tuning.ListJobs(request)
    yield Finished(summary=run.messages.jobs(found.jobs), jobs=found)


def _job_state(word: str) -> "tuning_pb2.JobState.ValueType":
    """The state that a word names, or every one. Raises InvalidValue."""
    states = {
        name.removeprefix("JOB_STATE_").lower(): value
        for name, value in tuning_pb2.JobState.items()
        if value
    }
    if word and word not in states:
        expected = Message("one of {names}", names=", ".join(states))
        raise InvalidValue(name="state", value=repr(word), expected=expected)
    return states.get(word, tuning_pb2.JOB_STATE_UNSPECIFIED)
