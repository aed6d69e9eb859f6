"""How long a client waits, and how it notices that a server no longer answers.

A unary call has a deadline. A stream may rightly be silent for long (a job waits in the queue),
and so may a call that works for minutes: while it is silent, the server is sent a small request
now and then, and the call is given up only when that gets no answer either.
Knows nothing of channels and stubs.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

READ_SECONDS = 30.0
"""Deadline of calls that look something up, which takes seconds only on a busy machine."""
WORK_SECONDS = 900.0
"""Deadline of calls that may draw a large model, or first download its weights."""
SILENCE_SECONDS = 30.0
"""How long a call may be silent before a probe tests whether the server still answers."""

READS = frozenset(
    {
        "Consent",
        "GetConversation",
        "GetJob",
        "GetModel",
        "GetPicture",
        "GetResults",
        "GetUpload",
        "ListAnswers",
        "ListJobs",
        "ListModels",
        "Plan",
    }
)
"""The rpcs that only look something up."""


def seconds(rpc: str) -> float | None:
    """Return the deadline in seconds of an rpc with one reply whose caller sets none.

    None for an upload: how long that takes depends on the connection.
    """
    if rpc == "UploadFile":
        return None
    return READ_SECONDS if rpc in READS else WORK_SECONDS


class Liveness:
    """A record of whether one call was heard from, and whether it was given up."""

    def __init__(self) -> None:
        self.given_up = False
        self._heard = False

    def heard(self) -> None:
        """Note that the call makes progress."""
        self._heard = True

    def is_silent(self) -> bool:
        """Return whether nothing was heard since the last call of this method."""
        silent, self._heard = not self._heard, False
        return silent


@contextmanager
def watched(call: Any, answers: Callable[[], bool]) -> Iterator[Liveness]:
    """Within the block, cancel `call` if it is silent and the server no longer `answers`."""
    liveness, ended = Liveness(), threading.Event()

    def watch() -> None:
        while not ended.wait(SILENCE_SECONDS):
            if liveness.is_silent() and not answers() and not ended.is_set():
                liveness.given_up = True
                call.cancel()
                return

    threading.Thread(target=watch, name="liveness", daemon=True).start()
    try:
        yield liveness
    finally:
        ended.set()


@asynccontextmanager
async def watched_async(
    call: Any, answers: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Liveness]:
    """Within the block, do the same in an event loop."""
    liveness = Liveness()

    async def watch() -> None:
        while True:
            await asyncio.sleep(SILENCE_SECONDS)
            if liveness.is_silent() and not await answers():
                liveness.given_up = True
                call.cancel()
                return

    watcher = asyncio.create_task(watch())
    try:
        yield liveness
    finally:
        watcher.cancel()
