"""A run's reports, written by a thread of their own while training goes on.

The step loop hands events over and goes on at once. Progress that comes faster than it
can be written is thinned out, the newest kept; nothing else is ever dropped.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.exc import SQLAlchemyError

from netgraft.errors import NetgraftError
from netgraft.tuning.jobs.events import Event, Kind
from netgraft.tuning.jobs.jobs import Jobs, Superseded
from netgraft.tuning.results.tensorboard import Board, is_figure
from netgraft.tuning.workers.memory import used

logger = logging.getLogger(__name__)

WRITE_SECONDS = 0.03
"""Least seconds between two writes. Steps are reported at most five times a second."""
MEMORY_SECONDS = 5.0
"""Between two looks at the memory of the run: it takes the system some milliseconds."""
CHECK_SECONDS = 0.4
"""Seconds between queries whether to stop, while there is nothing to write."""


@dataclass
class Signals:
    """The thread's findings, for the step loop to act on."""

    cancel: bool = False
    superseded: bool = False
    error: Exception | None = None


@dataclass
class ProgressWriter:
    """Rank 0's record of one attempt. Use as a context manager."""

    jobs: Jobs
    job_id: str
    attempt: int
    processes: Sequence[int] = ()
    """Those of the run on this machine, whose memory is reported."""
    first_step: int = 0
    """Before the first figure is written: the step from which on curves are written again."""
    signals: Signals = field(default_factory=Signals)

    def __post_init__(self) -> None:
        self._waiting: list[Event] = []
        self._progress: Event | None = None
        self._writing = False
        self._closing = False
        self._memory, self._looked = 0, -MEMORY_SECONDS
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="progress", daemon=True)

    def __enter__(self) -> "ProgressWriter":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(timeout=10)

    def write(self, event: Event) -> None:
        """Hand an event over; of progress not yet written, the newest stays."""
        with self._changed:
            if event.kind is Kind.STEP:
                self._progress = event
            else:
                self._waiting += [*filter(None, [self._progress]), event]
                self._progress = None
            self._changed.notify_all()

    def flush(self, timeout: float = 30) -> None:
        """Wait until all that was handed over is stored, or cannot be."""
        with self._changed:
            self._changed.wait_for(lambda: not self._pending() or self._over(), timeout)

    def must_be_stored(self) -> None:
        """Wait until all is stored. Raises what kept it from that: DiskFull, Superseded."""
        self.flush()
        if self.signals.error:
            raise self.signals.error
        if self.signals.superseded:
            raise Superseded

    def _pending(self) -> bool:
        return bool(self._waiting) or self._progress is not None or self._writing

    def _over(self) -> bool:
        return self.signals.superseded or self.signals.error is not None

    def _work(self) -> None:
        board: Board | None = None
        try:
            while (taken := self._next()) is not None:
                events = [self._with_memory(event) for event in taken]
                self.signals.cancel |= self.jobs.record(self.job_id, self.attempt, events)
                self._written()
                for event in filter(is_figure, events):
                    board = board or Board(self.job_id, self.first_step)
                    board.write(event)
                time.sleep(0 if self._closing else WRITE_SECONDS)
        except Superseded:
            self.signals.superseded = True
        except (NetgraftError, OSError, SQLAlchemyError) as error:
            logger.warning("progress of %s is no longer written: %s", self.job_id, error)
            self.signals.error = error
        finally:
            if board:
                board.close()
            self._written()

    def _next(self) -> list[Event] | None:
        """The events to write now, possibly none; None when the writer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending() or self._closing, CHECK_SECONDS)
            taken = [*self._waiting, *filter(None, [self._progress])]
            if self._closing and not taken:
                return None
            self._waiting, self._progress, self._writing = [], None, bool(taken)
            return taken

    def _with_memory(self, event: Event) -> Event:
        if event.kind is not Kind.STEP:
            return event
        if time.monotonic() - self._looked >= MEMORY_SECONDS:
            self._memory, self._looked = used(self.processes), time.monotonic()
        return replace(event, memory_bytes=self._memory)

    def _written(self) -> None:
        with self._changed:
            self._writing = False
            self._changed.notify_all()
