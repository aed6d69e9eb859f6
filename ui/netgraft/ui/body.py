"""How fast a request's body must arrive; the request of a slower client fails.

Otherwise a client that sends a byte and then nothing, or a byte now and then, would keep an
upload slot, a task and a connection busy for ever.
"""

import asyncio

from starlette.types import Message, Receive

from netgraft.errors import TooSlow

SECONDS = 20.0
"""In this many seconds of waiting for the client …"""
BYTES = 128 * 2**10
"""… this many bytes must arrive, or the body must end."""


def timely(receive: Receive, seconds: float = SECONDS, size: int = BYTES) -> Receive:
    """Return a `receive` with the same messages that raises TooSlow if the body comes too slowly.

    Only the time spent waiting counts, not the time in which the application handles a piece.
    """
    left, missing, is_complete = seconds, size, False

    async def receiving() -> Message:
        nonlocal left, missing, is_complete
        if is_complete:  # only the end of the connection follows, which has no time limit
            return await receive()
        begin = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(left):
                message = await receive()
        except TimeoutError:
            raise TooSlow(seconds=f"{seconds:g}") from None
        left -= asyncio.get_running_loop().time() - begin
        missing -= len(message.get("body", b""))
        if missing <= 0:
            left, missing = seconds, size
        is_complete = not message.get("more_body", False)
        return message

    return receiving
