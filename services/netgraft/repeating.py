"""Calls that are made again: requests do nothing twice, streams go on where they broke off.

Knows which requests name themselves, and which say what was already received. Knows nothing of
channels and stubs.
"""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

SOON_SECONDS = 15.0
"""How long to ask a server again that went away: one that died is back in five."""
PAUSE_SECONDS = 0.3
"""Between two tries."""
LIVED_SECONDS = 25.0
"""A call that broke off later had reached its server: to connect takes gRPC at most twenty."""


def with_request_id(request: Any) -> Any:
    """Return a request with a request_id (AIP-155), where its message can have one and has none.

    Sent again, by gRPC itself or by the caller, it does nothing twice. The argument is not
    changed. In a stream, the first message that can have an id gets it.
    """
    if isinstance(request, Iterator):
        return map(with_request_id, request)
    if isinstance(request, AsyncIterator):
        return _all_with_request_id(request)
    fields = request.DESCRIPTOR.fields_by_name
    if "header" in fields and request.HasField("header"):
        return type(request)(header=with_request_id(request.header))
    if "request_id" not in fields or request.request_id:
        return request
    copy = type(request)()
    copy.CopyFrom(request)
    copy.request_id = str(uuid.uuid4())
    return copy


async def _all_with_request_id(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield with_request_id(request)


class Stream:
    """One call whose replies come as a stream, over all times that it is made."""

    def __init__(self, rpc: str, request: Any) -> None:
        self.request = request
        """What to ask for now."""
        self._rpc = rpc
        self._last_seq = 0
        self._events = 0
        """Events of a Run that were received and are sent again when it is repeated."""
        self._again = 0
        """How many of them are still to come again."""
        self._heard = False
        self._called = 0.0
        self._broken: float | None = None

    def called(self) -> None:
        """Note that the call is made, the first time or again."""
        self._called, self._again = time.monotonic(), self._events

    def is_new(self, reply: Any) -> bool:
        """Return whether a reply was not received before."""
        self._heard, self._broken = True, None
        if self._rpc == "WatchJob":
            self._last_seq = reply.seq
        elif self._rpc == "Run" and not reply.HasField("progress"):  # progress is never repeated
            if self._again:
                self._again -= 1
                return False
            self._events += 1
        return True

    def goes_on(self) -> bool:
        """After the server went away: return whether to call again, and ask for the rest."""
        now = time.monotonic()
        if self._broken is None or now - self._called > LIVED_SECONDS:
            self._broken = now
        if self._rpc == "WatchJob" and self._last_seq:
            rest = type(self.request)()
            rest.CopyFrom(self.request)
            rest.after_seq = self._last_seq
            self.request = rest
        known = self._rpc in ("WatchJob", "Run")
        return known and self._heard and now - self._broken < SOON_SECONDS
