"""What is wrong with a run's data: the checks, beside the run, as events of its job."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from netgraft.store.store import Store
from netgraft.tuning.data.checks import check_all
from netgraft.tuning.data.checks.duplicates import leaked
from netgraft.tuning.data.checks.finding import Finding, OutOfFold, Seen
from netgraft.tuning.data.checks.wrong_labels import wrong_labels
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.workers.progress import ProgressWriter

MOST_SUSPECTS = 0.05
"""Share of pictures whose labels can look wrong; of more, it is the probe that errs."""
MOST_FILES = 500
"""Files that an event of a job names."""


class Findings:
    """The findings of a run, on rank 0.

    A thread of their own looks for them: among 20,000 pictures, copies take seconds to find.
    """

    def __init__(self, seen: Seen, job: Job, store: Store, writer: ProgressWriter | None) -> None:
        """Start the checks. What an earlier attempt has reported is not reported again."""
        self._seen = seen
        self._writer = writer
        self._reported = _reported(job, store) if job.attempt > 1 else frozenset[str]()
        pool = ThreadPoolExecutor(1, thread_name_prefix="check")
        self._leaked = pool.submit(self._look)
        pool.shutdown(wait=False)

    def leaked(self) -> frozenset[int]:
        """Wait for the checks; return the pictures that measure and of which a copy is trained on.

        Raises what a check raised.
        """
        return self._leaked.result()

    def probed(self, found: OutOfFold | None) -> None:
        """Report the labels that look wrong by what a probe says of pictures it had not seen."""
        if found is None:
            return
        findings = list(wrong_labels(replace(self._seen, out_of_fold=found)))
        most = MOST_SUSPECTS * len(found.indices)
        self._report([each for each in findings if len(each.files) <= max(1, most)])

    def _look(self) -> frozenset[int]:
        self._report(check_all(self._seen))
        return frozenset(leaked(self._seen))

    def _report(self, findings: Sequence[Finding]) -> None:
        for each in findings:
            if self._writer and each.kind not in self._reported:
                self._writer.write(_event(each))


def _event(finding: Finding) -> Event:
    found = {
        "kind": finding.kind,
        "severity": finding.severity.value,
        "files": list(finding.files[:MOST_FILES]),
    }
    return Event(Kind.NOTE, message=finding.sentence, finding=found)


def _reported(job: Job, store: Store) -> frozenset[str]:
    """The kinds of findings that are among a job's events."""
    _, events = Jobs(store).events_after(job.id, 0)
    return frozenset(each.finding["kind"] for each in events if each.finding)
