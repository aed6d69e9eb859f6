"""How fast a request's body must arrive; whoever is slower is answered and let go.

Without it a client that sends a byte and then nothing, or a byte now and then, holds for ever
what the request holds: a place for an upload, a task, a connection.
"""

import asyncio

from starlette.types import Message, Receive

from netgraft.errors import TooSlow

SECONDS = 20.0
"""In so many seconds of waiting for the client …"""
BYTES = 128 * 2**10
"""… so much must arrive, or the body's end."""


def timely(receive: Receive, seconds: float = SECONDS, size: int = BYTES) -> Receive:
    """The same messages; raises TooSlow while a body comes more slowly than it must.

    Only time spent waiting counts, not what is done with the pieces in between.
    """
    left, missing, is_complete = seconds, size, False

    async def receiving() -> Message:
        nonlocal left, missing, is_complete
        if is_complete:  # what follows is the end of the connection, which may take its time
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
