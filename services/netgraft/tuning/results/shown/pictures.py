"""What a page shows of a job's results: reads what runs have stored, without torch.

Pictures come from the data set as the job knows it, and only those of its manifest are read.
"""

import json
from collections.abc import Sequence

from sqlalchemy import select

from netgraft.errors import InvalidData, PictureNotFound
from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.store.tables import JobEventRow
from netgraft.tuning.data.decode import error_for
from netgraft.tuning.data.kept import kept_with_stamps
from netgraft.tuning.data.kinds import open_data
from netgraft.tuning.data.manifest import Manifest
from netgraft.tuning.data.pixels import fetched
from netgraft.tuning.jobs.events import Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.results.thumbnail import SIDE, thumbnail

MOST_SETS = 4
"""Data sets whose names are kept in memory."""


class Pictures:
    """The pictures of a job's data set, by their names below its reference."""

    def __init__(self, manifest: Manifest, stamps: Sequence[tuple[int, int]]) -> None:
        """`stamps`: size and time of change of each picture when the job was asked for."""
        self.manifest = manifest
        self.stamps = dict(zip(manifest.names, stamps, strict=True))

    def small(self, name: str) -> bytes:
        """A picture as a small JPEG.

        Raises PictureNotFound for a name that the data set has not, and InvalidData for a picture
        that is gone, damaged, or another one by now.
        """
        reference, container = self.manifest.reference, self.manifest.container
        if name not in self.stamps:
            raise PictureNotFound(data=name, roots=reference)
        try:
            stamp = container.stamp(name)
        except FileNotFoundError as error:
            raise PictureNotFound(data=name, roots=reference) from error
        if stamp != self.stamps[name]:  # a link to another place, perhaps: it is not read
            problem = Message("{path} has changed since the job was asked for.", path=name)
            raise InvalidData(data=reference, problem=problem)
        decoded, _ = fetched(container, name, SIDE)
        if decoded.picture is None:
            raise error_for(decoded.facts, name=name, reference=reference)
        return thumbnail(decoded.picture)


def pictures_of(job: Job, store: Store) -> Pictures:
    """The pictures of a job's data. Raises DataNotFound, OutsideDataRoots and InvalidData."""
    spec = job.spec
    key = spec.fingerprint or job.id

    def opened() -> Pictures:
        if found := kept_with_stamps(spec.fingerprint, store):
            return Pictures(*found)
        manifest = open_data(spec.data, spec.options)
        return Pictures(manifest, manifest.stamps)

    found: Pictures = store.recent("pictures", MOST_SETS).get(key, opened)
    return found


def newest_model(job: Job, store: Store) -> str:
    """The job's result; while there is none, the last model that its run has stored, or ""."""
    if job.result_model:
        return job.result_model
    said = f'%"kind": "{Kind.MODEL.value}"%'
    query = (
        select(JobEventRow.body)
        .where(JobEventRow.job_id == job.id, JobEventRow.body.like(said))
        .order_by(JobEventRow.seq.desc())
        .limit(1)
    )
    with store.session() as session:
        body = session.scalar(query)
    return str(json.loads(body)["model"]) if body else ""
