"""Everything that a results page shows, from the services."""

from dataclasses import dataclass

from netgraft.client import AsyncClient
from netgraft.errors import NetgraftError, UnknownModel
from netgraft.ui.job import ENDED
from netgraft.ui.results.history import History
from netgraft.v1 import models_pb2, tuning_pb2


@dataclass(frozen=True)
class Gathered:
    """A job, its history and its results, at one moment."""

    job: tuning_pb2.Job
    history: History
    results: tuning_pb2.Results
    title: str
    """What the model is, in a line."""

    @property
    def lives(self) -> bool:
        """Return whether more will come."""
        return self.job.state not in ENDED


async def gathered(client: AsyncClient, job_id: str) -> Gathered:
    """Read a job with its events so far. Raises NetgraftError, such as for an unknown job."""
    job = await client.tuning.GetJob(tuning_pb2.GetJobRequest(id=job_id))
    results = await client.tuning.GetResults(tuning_pb2.GetResultsRequest(job=job_id))
    title = await _title(client, results.model or job.spec.model)
    return Gathered(job, await _history(client, job), results, title)


async def _history(client: AsyncClient, job: tuning_pb2.Job) -> History:
    """The events up to now: those of a job that lives would go on."""
    history, last = History(), job.last_event.seq
    if not last:
        return history
    async for event in client.tuning.WatchJob(tuning_pb2.WatchJobRequest(id=job.id)):
        history.add([event])
        if event.seq >= last:
            break
    return history


async def _title(client: AsyncClient, model: str) -> str:
    try:
        found = await client.models.GetModel(models_pb2.GetModelRequest(id=model))
    except NetgraftError as error:
        if getattr(error, "kind", type(error)) is UnknownModel:
            return model[:12]
        raise
    return found.title
