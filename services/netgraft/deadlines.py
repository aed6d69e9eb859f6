"""How long a client waits, and how it notices that no answer will come.

A unary call has a deadline. A stream may rightly be silent for long (a job waits for its turn),
and so may a call that works for minutes: while one is silent, the server is asked something
small now and then, and the call is given up only when that is not answered either.
Knows nothing of channels and stubs.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

READ_SECONDS = 30.0
"""For calls that look something up: milliseconds, or a few seconds on a busy machine."""
WORK_SECONDS = 900.0
"""For calls that may draw a large model, or first fetch its weights."""
SILENCE_SECONDS = 30.0
"""How long a call may say nothing before the server is asked whether it is there."""

READS = frozenset(
    {
        "Consent",
        "GetConversation",
        "GetJob",
        "GetModel",
        "GetUpload",
        "ListJobs",
        "ListModels",
        "Plan",
    }
)
"""The rpcs that only look something up."""


def seconds(rpc: str) -> float | None:
    """The deadline of an rpc with one reply whose caller says none.

    None for a file that is sent: that takes as long as its way is slow.
    """
    if rpc == "UploadFile":
        return None
    return READ_SECONDS if rpc in READS else WORK_SECONDS


class Liveness:
    """The signs of life of one call, and whether it was given up."""

    def __init__(self) -> None:
        self.given_up = False
        self._heard = False

    def heard(self) -> None:
        """Say that the call goes forward."""
        self._heard = True

    def is_silent(self) -> bool:
        """Return whether nothing was heard since this was asked last."""
        silent, self._heard = not self._heard, False
        return silent


@contextmanager
def watched(call: Any, answers: Callable[[], bool]) -> Iterator[Liveness]:
    """Cancel a silent call when the server does not answer any more."""
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
    """The same in an event loop."""
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
