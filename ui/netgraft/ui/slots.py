"""A limit on the uploads that are in progress at one time, for each session and in all."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from netgraft.errors import UploadsBusy

MOST = 4
"""Uploads in progress, of all sessions."""
MOST_PER_SESSION = 2
"""Fewer than MOST, so that no session can block the others."""
WAIT_SECONDS = 10.0
"""How long an upload waits for a slot before it is refused."""
RETRY_SECONDS = 5
"""Seconds after which a refused client may try again."""


class Slots:
    """The slots of uploads in progress. All methods belong to one event loop."""

    def __init__(self, wait_seconds: float = WAIT_SECONDS) -> None:
        self.wait_seconds = wait_seconds
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def slot(self, session: str) -> AsyncIterator[None]:
        """Hold a slot during the block. Raises UploadsBusy if none is free in `wait_seconds`."""
        try:
            async with asyncio.timeout(self.wait_seconds), self._freed:
                await self._freed.wait_for(lambda: self._is_free(session))
                self._taken[session] += 1
        except TimeoutError:
            raise UploadsBusy(each=MOST_PER_SESSION, total=MOST, seconds=RETRY_SECONDS) from None
        try:
            yield
        finally:
            self._taken[session] -= 1
            self._taken += Counter()  # drops the sessions without a slot
            async with self._freed:
                self._freed.notify_all()

    def _is_free(self, session: str) -> bool:
        return self._taken.total() < MOST and self._taken[session] < MOST_PER_SESSION
