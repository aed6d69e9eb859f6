"""The Tuning service: convert between protobuf and the tuning package."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import fields
from typing import TYPE_CHECKING

from google.protobuf.timestamp_pb2 import Timestamp

from netgraft.errors import InvalidValue, NotEnoughWorkers, Unreachable
from netgraft.language import Message, say
from netgraft.serving.servicers import caller, must_name
from netgraft.store.requests import Asked, Repeated, Requests, asked
from netgraft.store.store import Store, default_store
from netgraft.tuning.board.servicer import Board
from netgraft.tuning.data.manifest import PARTS
from netgraft.tuning.forecast.forecast import PROBED, START, kept
from netgraft.tuning.forecast.machine import cores, gpu_names
from netgraft.tuning.forecast.servicer import forecast_message, reply_message
from netgraft.tuning.jobs import reconcile
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import ALIVE, Job, State
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.launcher import Capacity, Launcher, NoLauncher
from netgraft.tuning.jobs.resuming import Resumption
from netgraft.tuning.jobs.spec import Request, Spec
from netgraft.tuning.results.servicer import Answers, options_of
from netgraft.tuning.results.shown.servicer import Shown
from netgraft.v1 import tuning_pb2

if TYPE_CHECKING:
    from netgraft.tuning.data.checks.finding import Finding
    from netgraft.tuning.jobs.fitting import Graft
    from netgraft.tuning.results.checking import Report

DEFAULT_LIMIT = 50
TAIL_SECONDS = 0.05
"""Seconds between two queries of WatchJob for new events."""
CANCEL_SECONDS = 1.5
"""Seconds that a run may take to save and stop, before it is stopped from outside."""

STATES = {
    State.QUEUED: tuning_pb2.JOB_STATE_QUEUED,
    State.RUNNING: tuning_pb2.JOB_STATE_RUNNING,
    State.SUCCEEDED: tuning_pb2.JOB_STATE_SUCCEEDED,
    State.FAILED: tuning_pb2.JOB_STATE_FAILED,
    State.CANCELLED: tuning_pb2.JOB_STATE_CANCELLED,
    State.PREPARING: tuning_pb2.JOB_STATE_PREPARING,
    State.PAUSED: tuning_pb2.JOB_STATE_PAUSED,
}
KINDS = {
    Kind.STATE: tuning_pb2.JobEvent.KIND_STATE,
    Kind.STEP: tuning_pb2.JobEvent.KIND_STEP,
    Kind.EPOCH: tuning_pb2.JobEvent.KIND_EPOCH,
    Kind.NOTE: tuning_pb2.JobEvent.KIND_NOTE,
    Kind.CHECKPOINT: tuning_pb2.JobEvent.KIND_CHECKPOINT,
    Kind.MODEL: tuning_pb2.JobEvent.KIND_MODEL,
}


class TuningServicer(Answers, Shown, Board):
    """See `tuning.proto`. Starting, cancelling and resuming a job need a launcher."""

    def __init__(
        self,
        store: Store | None = None,
        launcher: Launcher | None = None,
        graft: "Graft | None" = None,
    ) -> None:
        """`graft`: gives a model that nobody has retargeted a head for the data's classes."""
        self.graft = graft
        self.store = store or default_store()
        self.jobs = Jobs(self.store)
        self.requests = Requests(self.store)
        self.launcher = launcher or NoLauncher()

    def StartTuning(self, request: tuning_pb2.StartTuningRequest) -> tuning_pb2.Job:
        from netgraft.tuning.forecast import making
        from netgraft.tuning.forecast.work import Saved, saved_for
        from netgraft.tuning.jobs import planning

        made: list[tuple[Job, Saved]] = []

        def begun(call: Asked | None) -> Job:
            asked_for = request_of(request.spec)
            asked_for.check()
            resolved = planning.plan(asked_for, self.launcher.capacity(), self.store, self.graft)
            saved = saved_for(resolved.spec, self.store)
            job = self.jobs.create(resolved, call)
            made.append((job, saved))
            return job

        reply = self._once(asked("StartTuning", request, caller().token), begun)
        for job, saved in made:  # its run has begun meanwhile
            making.keep_first(job.spec, saved, job.id, self.store)
            reply = job_message(self.jobs.get(job.id))
        return reply

    def Forecast(self, request: tuning_pb2.ForecastRequest) -> Iterator[tuning_pb2.ForecastReply]:
        from netgraft.tuning.forecast import making
        from netgraft.tuning.jobs import planning

        asked_for = request_of(request.spec)
        asked_for.check()
        resolved = planning.plan(asked_for, self._capacity(), self.store, self.graft)
        spec = spec_message(resolved.spec)
        lines = [say(line, caller().language) for line in resolved.assumptions]
        for found in making.forecasts(resolved.spec, self.store, quick=request.quick):
            yield reply_message(found, resolved.spec, spec, lines)

    def GetJob(self, request: tuning_pb2.GetJobRequest) -> tuning_pb2.Job:
        return job_message(self.jobs.get(request.id))

    def ListJobs(self, request: tuning_pb2.ListJobsRequest) -> tuning_pb2.ListJobsReply:
        if request.limit < 0:
            expected = Message("0 or more")
            raise InvalidValue(name="limit", value=request.limit, expected=expected)
        wanted = _state(request.state)
        found = self.jobs.newest(wanted, request.limit or DEFAULT_LIMIT)
        return tuning_pb2.ListJobsReply(jobs=[job_message(job) for job in found])

    def MeanFeatures(
        self, request: tuning_pb2.MeanFeaturesRequest
    ) -> Iterator[tuning_pb2.FeatureMeans]:
        from netgraft.models import resolve
        from netgraft.tuning.results.features import mean_features

        recipe = resolve.resolve(request.model, "pretrained", self.store).recipe
        found = mean_features(
            recipe,
            request.layer,
            request.data,
            self.store,
            request.most_examples,
            options_of(request.options),
        )
        for measured in found:
            yield tuning_pb2.FeatureMeans(
                done=measured.done,
                total=measured.total,
                means=measured.tensors,
                class_names=measured.class_names,
            )

    def CheckData(
        self, request: tuning_pb2.CheckDataRequest
    ) -> Iterator[tuning_pb2.CheckDataReply]:
        from netgraft.tuning.results.checking import check_data

        found = check_data(
            request.data,
            options_of(request.options),
            self.store,
            model=request.model,
            fix=request.fix,
        )
        for checked in found:
            report = report_message(checked.report) if checked.report else None
            yield tuning_pb2.CheckDataReply(done=checked.done, total=checked.total, report=report)

    async def WatchJob(
        self, request: tuning_pb2.WatchJobRequest
    ) -> AsyncIterator[tuning_pb2.JobEvent]:
        seen = request.after_seq
        while True:
            state, events = await asyncio.to_thread(self.jobs.events_after, request.id, seen)
            for event in events:
                seen = event.seq
                yield event_message(event)
            if not events:
                if state not in ALIVE:
                    return
                await asyncio.sleep(TAIL_SECONDS)

    def CancelJob(self, request: tuning_pb2.CancelJobRequest) -> tuning_pb2.Job:
        job = self.jobs.ask_cancel(request.id)
        if not self._ends(job.id, CANCEL_SECONDS) and self.jobs.end(job.id, State.CANCELLED):
            reconcile.stop(self.jobs.get(job.id).submission, self.launcher)
        return job_message(self.jobs.get(job.id))

    def ResumeJob(self, request: tuning_pb2.ResumeJobRequest) -> tuning_pb2.Job:
        def resumed(call: Asked | None) -> Job:
            spec = self.jobs.get(request.id).spec
            capacity = self.launcher.capacity()
            available = capacity.gpus if spec.device == "gpu" else capacity.cpus
            if spec.workers > available:
                raise NotEnoughWorkers(
                    asked=spec.workers, device=spec.device.upper(), available=available
                )
            return self.jobs.resume(request.id, call, resumption_of(request))

        return self._once(asked("ResumeJob", request, caller().token), resumed)

    def _once(self, call: Asked | None, queue: Callable[[Asked | None], Job]) -> tuning_pb2.Job:
        """Queue and submit a job, unless the same call did so before; return it as it is now."""
        job_id = self.requests.result(call)
        if not job_id:
            try:
                job = queue(call)
            except Repeated:  # the other call was faster
                job_id = self.requests.result(call)
            else:
                reconcile.submit(job, self.jobs, self.launcher)
                job_id = job.id
        return job_message(self.jobs.get(job_id))

    def _capacity(self) -> Capacity:
        """All processors; those of this machine where there is no server to start jobs."""
        try:
            return self.launcher.capacity()
        except Unreachable:
            return Capacity(cores(), len(gpu_names()))

    def _ends(self, job_id: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.jobs.get(job_id).state not in ALIVE:
                return True
            time.sleep(TAIL_SECONDS)
        return False


def _state(value: int) -> State | None:
    """Return the state to list, or None for all. Raises InvalidValue for an unknown number."""
    must_name("state", value, tuning_pb2.JobState)
    return next((state for state, each in STATES.items() if each == value), None)


def request_of(spec: tuning_pb2.TuningSpec) -> Request:
    """Return the request in a message, without unset fields and empty texts."""
    given = {field.name: value for field, value in spec.ListFields() if value != "" and field.name}
    given |= {"options": options_of(spec.options)}
    return Request(**{"model": "", "data": "", **given})


def resumption_of(request: tuning_pb2.ResumeJobRequest) -> Resumption:
    """Return how a job shall go on, without unset fields."""
    known = {field.name for field in fields(Resumption)}
    return Resumption(**{f.name: value for f, value in request.ListFields() if f.name in known})


def spec_message(spec: Spec) -> tuning_pb2.TuningSpec:
    """Return a resolved specification as a message; the run has yet to choose what is unset."""
    return tuning_pb2.TuningSpec(**{name: v for name, v in spec.plain().items() if v != ""})


def job_message(job: Job) -> tuning_pb2.Job:
    """Return a job as a message."""
    return tuning_pb2.Job(
        id=job.id,
        state=STATES[job.state],
        spec=spec_message(job.spec),
        assumptions=[say(line, caller().language) for line in job.resolved.assumptions],
        create_time=_time(job.created),
        start_time=_time(job.started),
        end_time=_time(job.ended),
        error_reason=job.error_reason,
        error_message=say(job.error_message, caller().language),
        result_model=job.result_model,
        metrics=job.metrics,
        last_event=event_message(job.last_event) if job.last_event else None,
        attempt=job.attempt,
        forecast=forecast_message(kept(job.forecast, START), job.spec),
        probed_forecast=forecast_message(kept(job.forecast, PROBED), job.spec),
    )


def event_message(event: Event) -> tuning_pb2.JobEvent:
    """Return an event as a message."""
    return tuning_pb2.JobEvent(
        seq=event.seq,
        kind=KINDS[event.kind],
        time=_time(event.time),
        attempt=event.attempt,
        state=STATES[State(event.state)] if event.state else tuning_pb2.JOB_STATE_UNSPECIFIED,
        step=event.step,
        total_steps=event.total_steps,
        epoch=event.epoch,
        total_epochs=event.total_epochs,
        loss=event.loss,
        lr=event.lr,
        images_per_second=event.images_per_second,
        eta_seconds=event.eta_seconds,
        metrics=event.metrics,
        message=say(event.message, caller().language),
        model=event.model,
        finding=_finding_of(event) if event.finding else None,
        data_wait=event.data_wait,
        memory_bytes=event.memory_bytes,
        gpu_memory_bytes=event.gpu_memory_bytes,
    )


def _finding_of(event: Event) -> tuning_pb2.Finding:
    return tuning_pb2.Finding(sentence=say(event.message, caller().language), **event.finding)


def report_message(report: "Report") -> tuning_pb2.DataReport:
    """Return a report as a message, in the caller's language."""
    manifest, language = report.manifest, caller().language
    sizes = {part: manifest.size(part) for part in PARTS}
    guesses = [say(guess.said, language) for guess in manifest.guesses]
    return tuning_pb2.DataReport(
        data=manifest.reference,
        kind=manifest.kind,
        task=manifest.task,
        classes=manifest.class_names,
        sizes={part: size for part, size in sizes.items() if size or part != "test"},
        pictures=len(manifest.names),
        guesses=guesses,
        findings=[finding_message(each) for each in report.findings],
        fingerprint=report.fingerprint,
        data_hash=report.data_hash,
        fixed=report.fixed,
        sampled=report.compared,
        class_sizes=report.class_sizes,
    )


def finding_message(finding: "Finding") -> tuning_pb2.Finding:
    """Return a finding as a message, in the caller's language."""
    return tuning_pb2.Finding(
        kind=finding.kind,
        severity=finding.severity.value,
        files=finding.files,
        sentence=say(finding.sentence, caller().language),
    )


def _time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    stamp = Timestamp()
    stamp.FromMilliseconds(int(seconds * 1000))
    return stamp
