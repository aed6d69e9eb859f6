"""Places for files that rest here while they are sent on: so many at a time, and no more."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from netgraft.errors import UploadsBusy

AT_ONCE = 4
EACH = 2
"""Places that one session may have: nobody can take them all."""
PATIENCE = 10.0
"""Seconds that an upload waits for a place before it is asked to come again."""
AGAIN = 5
"""Seconds after which it may."""


class Places:
    """All methods belong to one event loop."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self.patience = patience
        self._taken: Counter[str] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def place(self, session: str) -> AsyncIterator[None]:
        """Hold a place within. Raises UploadsBusy when none becomes free for a while."""
        try:
            async with asyncio.timeout(self.patience), self._freed:
                await self._freed.wait_for(lambda: self._has_room(session))
                self._taken[session] += 1
        except TimeoutError:
            raise UploadsBusy(each=EACH, total=AT_ONCE, seconds=AGAIN) from None
        try:
            yield
        finally:
            self._taken[session] -= 1
            self._taken += Counter()  # forgets sessions that hold none
            async with self._freed:
                self._freed.notify_all()

    def _has_room(self, session: str) -> bool:
        return self._taken.total() < AT_ONCE and self._taken[session] < EACH
