"""A process that is started again when it dies, and when it no longer answers."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

PAUSES = (0.0, 0.5, 1.0, 2.0)
"""Seconds before it is started again: the first time, the second…"""
SOUND_SECONDS = 10.0
"""After which a process that answers and then dies has not died of its start."""
START_SECONDS = 180.0
"""How long a process may take until it answers: twenty times what an idle machine needs."""
STARTING_SECONDS = 0.05
"""Between two questions to a process that starts."""
CHECK_SECONDS = 2.0
"""Between two questions to a process that answers."""
ANSWER_SECONDS = 4.0
"""How long a process may take for an answer."""
SILENT_SECONDS = 10.0
"""Without an answer, after which a process is taken for hung."""


@dataclass
class _Started:
    """A process, and what it has shown of life."""

    process: "subprocess.Popen[bytes]"
    began: float = field(default_factory=time.monotonic)
    heard: float = 0.0
    """When it last answered; 0: never."""
    missed: int = 0
    """Questions without an answer since then."""

    @property
    def sound(self) -> bool:
        """Return whether it got beyond its start."""
        return bool(self.heard) and time.monotonic() - self.began > SOUND_SECONDS

    @property
    def hangs(self) -> bool:
        """Return whether it does not answer any more, or never did."""
        now = time.monotonic()
        if not self.heard:
            return now - self.began > START_SECONDS
        # More than one: this process may itself have been stopped for a while.
        return self.missed > 1 and now - self.heard > SILENT_SECONDS


class Child:
    """A child process, watched by threads of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        answers: Callable[[float], bool],
        port: tuple[str, int],
    ) -> None:
        """Start it. `answers` asks it, and returns whether an answer came within some seconds."""
        self.name = name
        self.command = command
        self.answers = answers
        self.port = port
        """The port at which it answers, behind the setting that names it."""
        self.failed = threading.Event()
        """Set when it ended before it first answered, or died again and again."""
        self.answered = threading.Event()
        """Set when it has first answered."""
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._start()
        for work in (self._watch, self._ask):
            threading.Thread(target=work, name=name, daemon=True).start()

    @property
    def pid(self) -> int:
        """The present process."""
        return self._now.process.pid

    def _start(self) -> bool:
        """Start it, unless it is to end."""
        with self._lock:
            if not self._ending.is_set():
                # A group of its own: Ctrl-C is for the supervisor, which ends all in order.
                self._now = _Started(subprocess.Popen(self.command, process_group=0))  # noqa: S603
            return not self._ending.is_set()

    def _watch(self) -> None:
        """Start it again each time it has died."""
        deaths = 0
        while True:
            code = self._now.process.wait()
            deaths = 1 if self._now.sound else deaths + 1
            if self._ending.is_set():
                return
            logger.warning("%s ended (%s)", self.name, code)
            if deaths > len(PAUSES) or not self.answered.is_set():
                self.failed.set()
                return
            if self._ending.wait(PAUSES[deaths - 1]) or not self._start():
                return

    def _ask(self) -> None:
        """Ask it, often until it answers, and kill it when it hangs."""
        pause = STARTING_SECONDS
        while not self._ending.wait(pause):
            now = self._now
            if self.answers(ANSWER_SECONDS):
                now.heard, now.missed, pause = time.monotonic(), 0, CHECK_SECONDS
                self.answered.set()
                continue
            now.missed += 1
            pause = CHECK_SECONDS if now.heard else STARTING_SECONDS
            if now.hangs:
                logger.warning("%s does not answer: it is started again", self.name)
                now.process.kill()

    def terminate(self) -> None:
        """Ask it to end, for good. Does not wait."""
        with self._lock:
            self._ending.set()
        self._now.process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for its end until then (`time.monotonic`), and kill it after that."""
        with suppress(subprocess.TimeoutExpired):
            self._now.process.wait(max(0.0, deadline - time.monotonic()))
        self._now.process.kill()
        self._now.process.wait()
