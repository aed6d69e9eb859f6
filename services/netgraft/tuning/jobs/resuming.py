"""A request to go on with a job that has ended: what of its spec changes. Knows no torch."""

import time
from dataclasses import dataclass, replace

from netgraft.errors import JobNotResumable, NotPossible
from netgraft.language import Message
from netgraft.tuning.jobs.ceilings import check_price
from netgraft.tuning.jobs.job import IN_WORDS, RESUMABLE, Job, State
from netgraft.tuning.jobs.spec import (
    CONVERGED,
    ResolvedSpec,
    check_ceiling,
    check_skip_bad,
    check_whole,
)


@dataclass(frozen=True)
class Resumption:
    """A request to go on with a job; None: as before."""

    epochs: int | None = None
    """More epochs, with a schedule of their own."""
    skip_bad: float | None = None
    max_minutes: float | None = None
    max_cost: float | None = None

    def check(self, job: Job) -> None:
        """Raise InvalidValue, JobNotResumable or NotPossible where it cannot be carried out."""
        check_whole("epochs", self.epochs)
        check_skip_bad(self.skip_bad)
        check_ceiling("max_minutes", self.max_minutes)
        check_ceiling("max_cost", self.max_cost)
        check_price(self.max_cost, job.spec.device)
        if job.state not in RESUMABLE and not (job.state is State.SUCCEEDED and self._more(job)):
            raise JobNotResumable(job=job.id, state=IN_WORDS[job.state])
        if self.epochs and job.spec.optimizer == CONVERGED:
            problem = Message(
                "the head of this job has converged, so that more epochs change nothing. "
                "`netgraft finetune` with `--strategy auto` trains all layers."
            )
            raise NotPossible(problem=problem)

    def applied(self, job: Job) -> ResolvedSpec:
        """The job's spec as it goes on."""
        said = {
            name: value
            for name in ("skip_bad", "max_minutes", "max_cost")
            if (value := getattr(self, name)) is not None
        }
        spec = replace(job.spec, **said)
        if self.epochs:
            spec = replace(spec, patience=0)  # those that somebody asks for are all done
        resumed = replace(job.resolved.resumed, since=time.time(), left=0)
        if more := self._more(job):
            resumed = replace(resumed, times=resumed.times + 1, epochs=more)
        return replace(job.resolved, spec=spec, resumed=resumed)

    def _more(self, job: Job) -> int:
        """Epochs that get a schedule of their own."""
        left = job.resolved.resumed.left if job.state is State.SUCCEEDED else 0
        return self.epochs or left


AS_BEFORE = Resumption()
