"""A process that is started again when it dies."""

import logging
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

logger = logging.getLogger(__name__)

PAUSES = (0.0, 0.5, 1.0, 2.0)
"""Seconds before it is started again: the first time, the second…"""
SOUND_SECONDS = 60.0
"""After which a process that dies has not died of its start."""


class Child:
    """A child process, watched by a thread of its own."""

    def __init__(self, name: str, command: Sequence[str], failed: threading.Event) -> None:
        """Start it. `failed` is set when it has died too often."""
        self.name = name
        self.command = command
        self._failed = failed
        self._ending = False
        self._lock = threading.Lock()
        self._start()
        threading.Thread(target=self._watch, name=name, daemon=True).start()

    def _start(self) -> bool:
        """Start it, unless it is to end."""
        with self._lock:
            if not self._ending:
                # A group of its own: Ctrl-C is for the supervisor, which ends all in order.
                self.process = subprocess.Popen(self.command, process_group=0)  # noqa: S603
                self._started = time.monotonic()
            return not self._ending

    def _watch(self) -> None:
        deaths = 0
        while True:
            code = self.process.wait()
            sound = time.monotonic() - self._started > SOUND_SECONDS
            deaths = 1 if sound else deaths + 1
            if self._ending:
                return
            logger.warning("%s ended (%s)", self.name, code)
            if deaths > len(PAUSES):
                self._failed.set()
                return
            time.sleep(PAUSES[deaths - 1])
            if not self._start():
                return

    def terminate(self) -> None:
        """Ask it to end, for good. Does not wait."""
        with self._lock:
            self._ending = True
        self.process.terminate()

    def join(self, deadline: float) -> None:
        """Wait for its end until then (`time.monotonic`), and kill it after that."""
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(max(0.0, deadline - time.monotonic()))
        self.process.kill()
        self.process.wait()
