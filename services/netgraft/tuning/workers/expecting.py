"""What is expected of a run while it goes on, and what it took: for forecasts of others."""

import time
from collections.abc import Mapping
from typing import Any

from netgraft.language import Message
from netgraft.store.store import Store
from netgraft.tuning.forecast.expecting import Known, forecast
from netgraft.tuning.forecast.forecast import MEASURED, PROBED, WORK, document
from netgraft.tuning.forecast.history import Past, keep_forecast, keep_timings, past_runs
from netgraft.tuning.forecast.machine import machine
from netgraft.tuning.forecast.pieces import pieces
from netgraft.tuning.forecast.sentences import summary
from netgraft.tuning.forecast.speeds import KNOWN, Measured, Speed, speeds_of
from netgraft.tuning.forecast.timings import Stopwatch
from netgraft.tuning.forecast.work import Work
from netgraft.tuning.jobs import ceilings
from netgraft.tuning.jobs.job import Job
from netgraft.tuning.jobs.jobs import Jobs
from netgraft.tuning.jobs.spec import Spec


class Expecting:
    """The forecast of one attempt, on rank 0, and its stopwatch."""

    def __init__(self, job: Job, attempt: int, store: Store, watch: Stopwatch) -> None:
        self.job, self.store, self.watch = job, store, watch
        self.whole = attempt == 1
        """Whether this attempt does all of the work."""
        self.probed: tuple[int, int] | None = None
        watch.add("start", time.time() - job.created)

    def after_probe(self, spec: Spec, probed: tuple[int, int], *, trains: bool) -> Message | None:
        """Make the forecast again with what the probe shows, and keep it.

        Returns it as a sentence, where time is left for which it matters.
        """
        self.probed = probed
        kept = self._kept()
        if not kept:
            return None
        work = Work.from_plain(kept[WORK])
        past = past_runs(self.store)
        seconds = kept[MEASURED]
        speeds = speeds_of(work, past, Measured(seconds, 0) if seconds else None)
        own = pieces(work, self._parts())
        speeds |= {piece: Speed(value, KNOWN / 2) for piece, value in own.items()}
        known = Known(probed, trains=trains, elapsed=time.time() - self.job.created)
        ceiling = ceilings.seconds(spec)
        found = forecast(work, speeds, past, known=known, ceiling=ceiling)
        keep_forecast(self.store, self.job.id, {**kept, PROBED: found.plain()})
        return summary(found, spec) if trains else None

    def over(self, metrics: Mapping[str, float]) -> None:
        """Keep what the run took and reached, once it has succeeded."""
        kept = self._kept()
        if not kept:
            return
        seconds = time.time() - self.job.created
        self.watch.add("rest", max(0.0, seconds - sum(self.watch.seconds.values())))
        parts = self._parts()
        past = Past(
            work=Work.from_plain(kept[WORK]),
            parts=parts,
            seconds=seconds,
            epochs=parts.get("steps", (0.0, 0))[1],
            accuracy=metrics.get("accuracy"),
            probed=self.probed,
            measured=kept[MEASURED],
            machine=machine(),
        )
        keep_timings(self.store, self.job.id, past)

    def _kept(self) -> dict[str, Any]:
        """Return what was forecast when the job was started; {} where nothing was, or in an attempt
        that does not do all of the work.
        """
        kept = document(Jobs(self.store).get(self.job.id).forecast)
        return kept if self.whole and WORK in kept else {}

    def _parts(self) -> dict[str, tuple[float, int]]:
        watch = self.watch
        return {name: (watch.seconds[name], watch.times[name]) for name in watch.seconds}
