"""Run uvicorn with a clean shutdown and with a time limit for the head of a request.

A signal ends the event streams that pages keep open; uvicorn alone would wait for them until its
timeout, and log each as an error. Other responses, such as downloads, have DRAIN_SECONDS to finish.

The head of a request must arrive within HEAD_SECONDS; uvicorn alone waits for ever.
"""

import asyncio
import signal
import socket
from contextlib import suppress
from types import FrameType

import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

DRAIN_SECONDS = 3
HEAD_SECONDS = 20
"""From a connection, or the first byte of a request, to the end of the request's head."""
EVENTS = "text/event-stream"


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    # uvicorn raises the signal again after it has shut down; it must not end the process then.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    streams = Streams(app)
    config = uvicorn.Config(
        streams,
        http=Http,
        log_config=None,
        access_log=False,  # addresses may hold a code, or a program's token
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    _Server(config, streams.closing).run(sockets=[listener])


class Http(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which limits the size of a head, with a limit on its time too.

    It is named explicitly, because uvicorn would choose httptools, which limits neither, if some
    other package has installed it.
    """

    _timeout: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update_timeout()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._update_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_timeout()

    def _update_timeout(self) -> None:
        if self.cycle and not self.cycle.response_complete:
            self._stop_timeout()
        elif not self._timeout:
            self._timeout = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_timeout(self) -> None:
        if self._timeout:
            self._timeout.cancel()
            self._timeout = None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, closing: asyncio.Event) -> None:
        super().__init__(config)
        self.closing = closing

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.closing.set()


class Streams:
    """ASGI middleware that ends responses that are event streams once `closing` is set."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.closing = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        is_stream = is_complete = False

        async def watched_send(message: Message) -> None:
            nonlocal is_stream, is_complete
            is_complete = message["type"].endswith("body") and not message.get("more_body")
            if message["type"] == "http.response.start":
                is_stream = Headers(scope=message).get("content-type", "").startswith(EVENTS)
            await send(message)

        answering = asyncio.ensure_future(self.app(scope, receive, watched_send))
        closing = asyncio.ensure_future(self.closing.wait())
        try:
            await asyncio.wait({answering, closing}, return_when=asyncio.FIRST_COMPLETED)
            if is_stream and not answering.done():
                answering.cancel()
                with suppress(asyncio.CancelledError):
                    await answering
                if not is_complete:  # the application may have ended it when it was cancelled
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await answering
        finally:
            closing.cancel()
            answering.cancel()
